"""Conversations, completions and edits become prompts, as LocalAI's model files say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from textmill.errors import InvalidInput, TemplateBroken
from textmill.prompting.conversation import Conversation, Message, Templates
from textmill.prompting.gotemplate import GoTemplate
from textmill.prompting.json_text import Writer
from textmill.prompting.limits import Budget
from textmill.prompting.records import calls_value, message_record, prompt_record
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import Record, Value, from_json

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
_BESIDE = "the .tmpl file beside the weights"


def refuse(fault: TemplateBroken) -> None:
    """What is done about a fault unless something else is asked for: it is raised."""
    raise fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Makes the prompts of one model. Thread-safe; its templates were read once.

    Faults of templates go to ``tell``. Where that does not raise them, it is as if the template were not there, as in LocalAI:
    a message is its role's prefix and its text, a conversation or a completion is its input, an edit goes through `EDIT`.
    """

    chat_message: GoTemplate | None
    chat: GoTemplate | None
    function: GoTemplate | None
    completion: GoTemplate | None
    edit: GoTemplate
    join: str
    roles: Mapping[str, str]
    system_prompt: str
    tell: Callable[[TemplateBroken], None] = refuse

    @classmethod
    def of(cls, templates: Templates, tell: Callable[[TemplateBroken], None] = refuse) -> Prompts:
        """The prompts that templates make.

        Raises:
            TemplateBroken: A text is not a template and ``tell`` raises; the error names the field, such as ``template.chat``.

        """
        every = templates.every

        def read(text: str | None, name: str, instead: str | None = None) -> GoTemplate | None:
            try:
                return GoTemplate.read(text or instead or "", name if text else _BESIDE) if text or instead else None
            except TemplateBroken as fault:
                tell(fault)
                return None

        return cls(
            chat_message=read(templates.chat_message, "template.chat_message"),
            chat=read(templates.chat, "template.chat", every),
            function=read(templates.function, "template.function"),
            completion=read(templates.completion, "template.completion", every),
            edit=read(templates.edit, "template.edit", every) or _usual_edit(),
            join=templates.join,
            roles=templates.roles,
            system_prompt=templates.system_prompt,
            tell=tell,
        )

    def of_chat(self, conversation: Conversation) -> str:
        """The prompt of a conversation.

        Each message goes through ``chat_message``, and is left out where that makes nothing of it; without that template it
        is its role's prefix and its text. All together go through ``function`` where tools may be called, else ``chat``.
        A model's own system prompt opens a conversation that has none where there is no template to say where it goes.

        Raises:
            TemplateBroken: A template cannot be filled with what the conversation has, and ``tell`` raises.
            InvalidInput: A call or a tool of the conversation is nested too deep.

        """
        messages = conversation.messages
        template = self.function if self.function and conversation.tools and conversation.calling else self.chat
        if self.system_prompt and not (template or self.chat_message or any(map(_of_system, messages))):
            messages = (Message(role="system", content=self.system_prompt), *messages)
        try:
            texts, suppressed = self._messages(messages, grammar=conversation.grammar)
            text = self.join.join(texts)
            if template is None:
                return text
            record = prompt_record(
                text=text,
                system_prompt=self.system_prompt,
                suppressed=suppressed,
                tools=conversation.tools,
                reasoning_effort=conversation.reasoning_effort,
                metadata=conversation.metadata,
            )
        except Trouble as error:
            raise InvalidInput(str(error), param="messages") from None
        filled = self._filled(template, record)
        return text if filled is None else filled

    def of_completion(self, prompt: str, *, reasoning_effort: str = "", metadata: Mapping[str, str] = _NOTHING) -> str:
        """The prompt of a completion, which without a template is the text itself.

        Raises:
            TemplateBroken: The template cannot be filled, and ``tell`` raises.

        """
        if self.completion is None:
            return prompt
        record = prompt_record(
            text=prompt, system_prompt=self.system_prompt, reasoning_effort=reasoning_effort, metadata=metadata
        )
        filled = self._filled(self.completion, record)
        return prompt if filled is None else filled

    def of_edit(
        self, text: str, instruction: str, *, reasoning_effort: str = "", metadata: Mapping[str, str] = _NOTHING
    ) -> str:
        """The prompt that asks for a change of a text; `EDIT` is the template of models without one.

        Raises:
            TemplateBroken: The template cannot be filled, and ``tell`` raises.

        """
        record = prompt_record(
            text=text,
            system_prompt=self.system_prompt,
            instruction=instruction,
            reasoning_effort=reasoning_effort,
            metadata=metadata,
        )
        filled = self._filled(self.edit, record)
        return _usual_edit().fill(record) if filled is None else filled

    def _filled(self, template: GoTemplate, record: Record) -> str | None:
        try:
            return template.fill(record)
        except TemplateBroken as fault:
            self.tell(fault)
            return None

    def _messages(self, messages: tuple[Message, ...], *, grammar: bool) -> tuple[list[str], bool]:
        """The messages' texts, and whether that of a system message is among them without a template's doing."""
        texts: list[str] = []
        suppressed = False
        for index, message in enumerate(messages):
            text = self._message(message, index, last=index == len(messages) - 1, grammar=grammar)
            if text is None:
                texts.append(_plain(message, self.roles.get(self._role(message), "")))
                suppressed = suppressed or _of_system(message)
            elif text:
                texts.append(text)
        return texts, suppressed

    def _message(self, message: Message, index: int, *, last: bool, grammar: bool) -> str | None:
        """What its template makes of a message; None where there is none."""
        if self.chat_message is None:
            return None
        role = self._role(message)
        record = message_record(
            message,
            index=index,
            last=last,
            role=role,
            prefix=self.roles.get(role, ""),
            system_prompt=self.system_prompt,
            grammar=grammar,
        )
        return self._filled(self.chat_message, record)

    def _role(self, message: Message) -> str:
        """An assistant that calls has a role of its own where the model has a prefix for it."""
        calls = message.function_call is not None or message.tool_calls
        return (
            _CALLING_ROLE if message.role == "assistant" and calls and self.roles.get(_CALLING_ROLE) else message.role
        )


def _usual_edit() -> GoTemplate:
    return GoTemplate.read(EDIT, "the usual template of edits")


def _of_system(message: Message) -> bool:
    return message.role == "system" and bool(message.content)


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
