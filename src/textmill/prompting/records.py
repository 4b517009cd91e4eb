"""Messages and requests as the structs that LocalAI gives its templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textmill.prompting.conversation import Message, Tool, ToolCall
from textmill.prompting.values import NilList, NilMap, Record, Texts, Value, from_json

_TOOL_NAMES = {"Name": "name", "Description": "description", "Strict": "strict", "Parameters": "parameters"}
_CALL_NAMES = {"Index": "index", "ID": "id", "Type": "type", "FunctionCall": "function"}
_ARGUMENT_NAMES = {"Name": "name?", "Arguments": "arguments"}


def prompt_record(
    *,
    text: str,
    system_prompt: str,
    instruction: str = "",
    suppressed: bool = False,
    tools: Sequence[Tool] = (),
    reasoning_effort: str = "",
    metadata: Mapping[str, str],
) -> Record:
    """What the templates of conversations, completions and edits are given.

    Raises:
        Trouble: The schema of a tool's parameters is no JSON or is nested too deep.

    """
    functions: list[Value] = [_tool_record(tool) for tool in tools]
    fields: dict[str, Value] = {
        "SystemPrompt": system_prompt,
        "SuppressSystemPrompt": suppressed,
        "Input": text,
        "Instruction": instruction,
        "Functions": functions or NilList(),
        "MessageIndex": 0,
        "ReasoningEffort": reasoning_effort,
        "Metadata": Texts(metadata) if metadata else NilTexts(),
    }
    return Record("templates.PromptTemplateData", fields)


class NilTexts(NilMap, Texts):
    """A map of texts that is nil."""


def message_record(
    message: Message, *, index: int, last: bool, role: str, prefix: str, system_prompt: str, grammar: bool
) -> Record:
    """What the template of messages is given.

    Raises:
        Trouble: The message's call of a function is no JSON or is nested too deep.

    """
    fields: dict[str, Value] = {
        "SystemPrompt": system_prompt,
        "Role": prefix,
        "RoleName": role,
        "FunctionName": message.name,
        "Content": message.content,
        "MessageIndex": index,
        "Function": grammar and last,
        "FunctionCall": calls_value(message) if message.tool_calls else from_json(message.function_call),
        "LastMessage": last,
    }
    return Record("templates.ChatMessageTemplateData", fields)


def calls_value(message: Message) -> list[Value]:
    """The calls of a message, each a struct."""
    return [_call_record(index, call) for index, call in enumerate(message.tool_calls)]


def _call_record(index: int, call: ToolCall) -> Record:
    arguments = Record("schema.FunctionCall", {"Name": call.name, "Arguments": call.arguments}, _ARGUMENT_NAMES)
    fields: dict[str, Value] = {"Index": index, "ID": call.id, "Type": call.type, "FunctionCall": arguments}
    return Record("schema.ToolCall", fields, _CALL_NAMES)


def _tool_record(tool: Tool) -> Record:
    fields: dict[str, Value] = {
        "Name": tool.name,
        "Description": tool.description,
        "Strict": tool.strict,
        "Parameters": NilMap() if tool.parameters is None else from_json(tool.parameters),
    }
    return Record("functions.Function", fields, _TOOL_NAMES)
