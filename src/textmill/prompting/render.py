"""Conversations, completions and edits become prompts, as LocalAI's model files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from textmill.errors import InvalidInput
from textmill.prompting.conversation import Conversation, Message, Templates
from textmill.prompting.gotemplate import GoTemplate
from textmill.prompting.json_text import Writer
from textmill.prompting.limits import Budget
from textmill.prompting.records import calls_value, message_record, prompt_record
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import Value, from_json

EDIT = """\
Change the text as the instruction says. Answer with the changed text and nothing else.

### Instruction:
{{.Instruction}}

### Text:
{{.Input}}

### Response:
"""
"""The template of edits for models without one; without it the instruction would be lost."""

_CALLING_ROLE = "assistant_function_call"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Makes the prompts of one model. Thread-safe; its templates were read once."""

    chat_message: GoTemplate | None
    chat: GoTemplate | None
    function: GoTemplate | None
    completion: GoTemplate | None
    edit: GoTemplate
    join: str
    roles: Mapping[str, str]
    system_prompt: str

    @classmethod
    def of(cls, templates: Templates) -> Prompts:
        """The prompts that templates make.

        Raises:
            TemplateBroken: A text is not a template; the error names the field, such as ``template.chat``.

        """
        every = _read(templates.every, "the .tmpl file beside the weights")
        chat = _read(templates.chat, "template.chat") or every
        return cls(
            chat_message=_read(templates.chat_message, "template.chat_message"),
            chat=chat,
            function=_read(templates.function, "template.function"),
            completion=_read(templates.completion, "template.completion") or every,
            edit=_read(templates.edit, "template.edit")
            or every
            or GoTemplate.read(EDIT, "the usual template of edits"),
            join=templates.join,
            roles=templates.roles,
            system_prompt=templates.system_prompt,
        )

    def of_chat(self, conversation: Conversation) -> str:
        """The prompt of a conversation.

        Each message goes through ``chat_message``, and is left out where that makes nothing of it; without that template it
        is its role's prefix and its text. All together go through ``function`` where tools may be called, else ``chat``.
        A model's own system prompt opens a conversation that has none where there is no template to say where it goes.

        Raises:
            TemplateBroken: A template cannot be filled with what the conversation has.
            InvalidInput: A call or a tool of the conversation is nested too deep.

        """
        messages = conversation.messages
        suppressed = any(message.role == "system" and message.content for message in messages)
        template = self.function if self.function and conversation.tools and conversation.calling else self.chat
        if self.system_prompt and not (template or self.chat_message or suppressed):
            messages = (Message(role="system", content=self.system_prompt), *messages)
        try:
            text = self.join.join(self._messages(messages, grammar=conversation.grammar))
            if template is None:
                return text
            record = prompt_record(
                text=text,
                system_prompt=self.system_prompt,
                suppressed=suppressed and self.chat_message is None,
                tools=conversation.tools,
                reasoning_effort=conversation.reasoning_effort,
                metadata=conversation.metadata,
            )
        except Trouble as error:
            raise InvalidInput(str(error), param="messages") from None
        return template.fill(record)

    def of_completion(self, prompt: str, *, reasoning_effort: str = "", metadata: Mapping[str, str] = _NOTHING) -> str:
        """The prompt of a completion, which without a template is the text itself.

        Raises:
            TemplateBroken: The template cannot be filled.

        """
        if self.completion is None:
            return prompt
        return self._fill(self.completion, prompt, "", reasoning_effort, metadata)

    def of_edit(
        self, text: str, instruction: str, *, reasoning_effort: str = "", metadata: Mapping[str, str] = _NOTHING
    ) -> str:
        """The prompt that asks for a change of a text; `EDIT` is the template of models without one.

        Raises:
            TemplateBroken: The template cannot be filled.

        """
        return self._fill(self.edit, text, instruction, reasoning_effort, metadata)

    def _fill(
        self, template: GoTemplate, text: str, instruction: str, reasoning_effort: str, metadata: Mapping[str, str]
    ) -> str:
        record = prompt_record(
            text=text,
            system_prompt=self.system_prompt,
            instruction=instruction,
            reasoning_effort=reasoning_effort,
            metadata=metadata,
        )
        return template.fill(record)

    def _messages(self, messages: tuple[Message, ...], *, grammar: bool) -> list[str]:
        texts: list[str] = []
        for index, message in enumerate(messages):
            role = self._role(message)
            prefix = self.roles.get(role, "")
            if self.chat_message is None:
                texts.append(_plain(message, prefix))
                continue
            last = index == len(messages) - 1
            record = message_record(
                message,
                index=index,
                last=last,
                role=role,
                prefix=prefix,
                system_prompt=self.system_prompt,
                grammar=grammar,
            )
            text = self.chat_message.fill(record)
            if text:
                texts.append(text)
        return texts

    def _role(self, message: Message) -> str:
        """An assistant that calls has a role of its own where the model has a prefix for it."""
        calls = message.function_call is not None or message.tool_calls
        return (
            _CALLING_ROLE if message.role == "assistant" and calls and self.roles.get(_CALLING_ROLE) else message.role
        )


def _read(text: str | None, name: str) -> GoTemplate | None:
    return GoTemplate.read(text, name) if text else None


def _plain(message: Message, prefix: str) -> str:
    """A message without a template: its role's prefix and its text, and behind it the JSON of its calls."""
    text = prefix + message.content if message.content else ""
    calls: list[Value] = []
    if message.function_call is not None:
        calls.append(from_json(message.function_call))
    if message.tool_calls:
        calls.append(calls_value(message))
    for call in calls:
        written = f"{prefix} {_json(call)}" if prefix else _json(call)
        text = f"{text}\n{written}" if message.content else written
    return text


def _json(value: Value) -> str:
    return Writer(Budget()).text(value)
