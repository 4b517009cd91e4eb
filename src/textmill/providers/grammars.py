"""Grammars in llguidance's Lark for what a text has to be: JSON, words of a GBNF grammar, calls of tools as the model writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from textmill.contract import Format, Tool
from textmill.errors import ExtraMissing, InvalidInput

Style = Literal["hermes", "mistral", "mistral-named", "bare"]
"""How a model writes calls: between <tool_call> marks, as a list behind [TOOL_CALLS], each behind its name, or as plain JSON."""

_GUIDANCE = {"whitespace_pattern": r"( |\n[ \t]{0,20})?"}
"""Blanks of JSON: as llama.cpp has them, since a model may go on with any number of them."""
_ANY: Mapping[str, Any] = {"type": "object"}


def style_of(template: str) -> Style:
    """The style that a chat template tells."""
    if "[TOOL_CALLS]" in template:
        return "mistral-named" if "[ARGS]" in template else "mistral"
    if "<tool_call>" in template or "tools" not in template:
        return "hermes"
    return "bare"


def format_grammar(wanted: Format) -> str:
    """The grammar of a format. Raises InvalidInput for a schema that is no JSON object, ExtraMissing."""
    if wanted.kind == "grammar":
        return lark_of(wanted.text)
    return f"start: {_json(_schema(wanted))}\n"


def calls_grammar(
    tools: Sequence[Tool], style: Style, marks: Mapping[str, str], *, several: bool, otherwise: Format | None = None
) -> str:
    """The grammar of one call or ``several``, or of the format ``otherwise`` in their place; ``marks`` are special tokens."""
    rules = [f"call_{index}: {_call(tool, style, marks)}" for index, tool in enumerate(tools)]
    one = " | ".join(f"call_{index}" for index in range(len(tools)))
    mark = marks.get("[TOOL_CALLS]", '"[TOOL_CALLS]"')
    if style == "mistral":
        more = ' (", " call)*' if several else ""
        calls = f'{mark} "[" call{more} "]"'
    else:
        calls = f"call{_more(style) if several else ''}"
    start = "start: calls" if otherwise is None else f"start: calls | {_json(_schema(otherwise))}"
    return "\n".join([start, f"calls: {calls}", f"call: {one}", *rules]) + "\n"


def strict_grammar(tools: Sequence[Tool], style: Style, marks: Mapping[str, str]) -> str | None:
    """The grammar of any text in which calls, once begun, fit the schemas of strict tools; None where no mark begins a call."""
    if style == "bare":
        return None
    known = [tool if tool.strict else replace(tool, parameters=None) for tool in tools]
    begin = "<tool_call>" if style == "hermes" else "[TOOL_CALLS]"
    rules = [f"call_{index}: {_call(tool, style, marks, opened=True)}" for index, tool in enumerate(known)]
    one = " | ".join(f"call_{index}" for index in range(len(known)))
    body = '"[" call (", " call)* "]"' if style == "mistral" else "call"
    special = marks.get(begin)
    # A lazy lexeme ends as soon as it can, so that no text can have the mark without being a call.
    part = f"part: TEXT {special} {body}" if special else f"part: begin {body}\nbegin[lazy]: TEXT {json.dumps(begin)}"
    again = f" ({special or json.dumps(begin)} call)*" if style == "mistral-named" else ""
    start = "start: part* TEXT" if style == "hermes" else f"start: TEXT | part{again}"  # Mistral's end the text
    return "\n".join([start, part, f"call: {one}", *rules, r"TEXT: /(.|\n)*/"]) + "\n"


def lark_of(gbnf: str) -> str:
    """A GBNF grammar in llguidance's words. Raises InvalidInput, ExtraMissing."""
    try:
        from llguidance.gbnf_to_lark import any_to_lark  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "grammars need the package llguidance: pip install 'textmill[transformers]'"
        raise ExtraMissing(msg) from error
    try:
        return str(any_to_lark(gbnf))
    except Exception as error:
        msg = f"the grammar cannot be read: {next(iter(str(error).splitlines()), '')}"
        raise InvalidInput(msg, param="grammar") from error


def _more(style: Style) -> str:
    return {"hermes": ' ("\\n" call)*', "bare": "", "mistral-named": " call*"}.get(style, "")


def _call(tool: Tool, style: Style, marks: Mapping[str, str], *, opened: bool = False) -> str:
    """A call of a tool; ``opened``: behind the mark that begins it."""
    arguments = _json(tool.parameters or _ANY)
    name = json.dumps(tool.name, ensure_ascii=False)
    if style == "mistral-named":
        mark, args = (marks.get(each, json.dumps(each)) for each in ("[TOOL_CALLS]", "[ARGS]"))
        return f"{'' if opened else mark} {name} {args} {arguments}"
    key = "parameters" if style == "bare" else "arguments"
    head, tail = f'{{"name": {name}, "{key}": ', "}"
    inside = f"{json.dumps(head, ensure_ascii=False)} {arguments} {json.dumps(tail)}"
    if style != "hermes":
        return inside
    begin, end = (marks.get(each, json.dumps(each)) for each in ("<tool_call>", "</tool_call>"))
    return f'{"" if opened else begin} "\\n" {inside} "\\n" {end}'


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': _GUIDANCE}, ensure_ascii=False)}"


def _schema(wanted: Format) -> Mapping[str, Any]:
    if wanted.kind == "json_object" and not wanted.text:
        return _ANY
    try:
        found = json.loads(wanted.text)
    except ValueError as error:
        msg = f"the JSON schema is no JSON: {error}"
        raise InvalidInput(msg, param="response_format") from error
    if isinstance(found, bool):
        return {} if found else {"not": {}}
    if not isinstance(found, dict):
        msg = "the JSON schema must be a JSON object"
        raise InvalidInput(msg, param="response_format")
    return found
