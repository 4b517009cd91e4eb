"""Grammars in llguidance's Lark for what a text has to be: JSON, words of a GBNF grammar, calls of tools as the model writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from textmill.contract import ChatOptions, Format, Tool
from textmill.errors import ExtraMissing, InvalidInput

Style = Literal["hermes", "mistral", "mistral-named", "bare"]
"""How a model writes calls: between <tool_call> marks, as a list behind [TOOL_CALLS], each behind its name, or as plain JSON."""

_MOST_WORDS = 300
_ANY: Mapping[str, Any] = {"type": "object"}
_NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_ALTERNATIVES = ("anyOf", "oneOf", "$ref", "if")
_BLANKS: Mapping[str, Any] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line, since many a model that may write blanks writes nothing else up to its limit."""
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown")
)
"""Formats of texts that llguidance keeps to; to JSON schemas others are remarks."""
_DATE = (
    r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
    r"-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_PATTERNS = {"date": f"^(?:{_DATE})$", "time": f"^{_TIME}$", "date-time": f"^(?:{_DATE})T{_TIME}$"}
"""Days and times (RFC 3339, section 5.6) that there are, and that programs can read: llguidance has 60 seconds in any minute."""
_VALUES = frozenset(("const", "enum", "default", "examples", "example"))
"""Keys of schemas whose values are no schemas."""


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
    return f"start: {_json(schema_of(wanted))}\n"


def bound_grammar(options: ChatOptions, tools: Sequence[Tool], style: Style, marks: Mapping[str, str]) -> str | None:
    """The grammar of what comes in a conversation, with the ``tools`` that may be called; None where that may be anything.

    Raises InvalidInput, ExtraMissing.
    """
    choice, wanted = options.tool_choice, options.format
    must = choice not in ("auto", "none")
    if must or (tools and wanted is not None and wanted.kind != "grammar"):
        several = options.parallel_tool_calls and (not must or choice == "required")
        return calls_grammar(tools, style, marks, several=several, otherwise=None if must else wanted)
    if wanted is None and any(tool.strict for tool in tools):
        return strict_grammar(tools, style, marks)
    return None if wanted is None else format_grammar(wanted)


def thoughtful(grammar: str, opening: str, closing: str, marks: Mapping[str, str]) -> str:
    """A grammar with thoughts up to the mark ``closing`` before it, which may be left out where ``opening`` begins them."""
    shut = _mark(closing, marks)
    inner = f"_thoughts: /(?s:.*)/ {shut}" if closing in marks else f"_thoughts[lazy]: /(?s:.*){_regex(closing)}/"
    begin = f"({_mark(opening, marks)} _thoughts /\\s{{0,4}}/)?" if opening else "_thoughts /\\s{0,4}/"
    return f"start: {begin} _answer\n{inner}\n" + grammar.replace("start:", "_answer:", 1)


def ending(grammar: str, ends: Sequence[str]) -> str:
    """A grammar behind which one of the special tokens ``ends`` may come."""
    if not ends:
        return grammar
    return f"start: _turn _end?\n_end: {' | '.join(ends)}\n" + grammar.replace("start:", "_turn:", 1)


def _mark(text: str, marks: Mapping[str, str]) -> str:
    return marks.get(text, json.dumps(text))


def _regex(text: str) -> str:
    return re.escape(text).replace("/", "\\/")


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
    start = "start: calls" if otherwise is None else f"start: calls | {_json(schema_of(otherwise))}"
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


def refuse_unusable(grammar: str) -> None:
    """Raise InvalidInput, with llguidance's reason, for a grammar that cannot be used; does nothing where llguidance is not installed."""
    try:
        from llguidance import LLMatcher  # noqa: PLC0415 - an extra
    except ImportError:
        return
    wrong = LLMatcher.validate_grammar(grammar)
    if wrong:
        msg = f"what the answer has to be cannot be kept to: {next(iter(wrong.splitlines()), '')[:_MOST_WORDS]}"
        raise InvalidInput(msg, param="response_format")


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
    arguments = _json(_NOTHING if tool.parameters is None else tool.parameters, lenient=not tool.strict)
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


def _json(schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """JSON of a schema; ``lenient`` passes over keys that llguidance does not know."""
    how = {**_BLANKS, "lenient": lenient}
    made = _known(schema)
    if not _joins(made):
        made = _closed(made)
    return f"%json {json.dumps({**made, 'x-guidance': how}, ensure_ascii=False)}"


def _joins(schema: Any) -> bool:
    """Whether objects get their properties from several places of a schema."""
    if isinstance(schema, list):
        return any(_joins(each) for each in schema)
    if not isinstance(schema, Mapping):
        return False
    if "allOf" in schema or ("properties" in schema and any(key in schema for key in _ALTERNATIVES)):
        return True
    return any(_joins(value) for key, value in schema.items() if key not in _VALUES)


def _closed(schema: Any) -> Any:
    """A schema whose objects have the properties that it names and no others, where it leaves that open: what fits it fits the open one."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: value if key in _VALUES else _closed(value) for key, value in schema.items()}
    named, needed = schema.get("properties"), schema.get("required", ())
    if (
        isinstance(named, Mapping)
        and isinstance(needed, list | tuple)
        and not {*needed} - {*named}
        and _is_open(schema)
    ):
        made["additionalProperties"] = False
    return made


def _is_open(schema: Mapping[str, Any]) -> bool:
    return not any(key in schema for key in ("additionalProperties", "patternProperties", "minProperties"))


def _known(schema: Any) -> Any:
    """A schema without formats that nobody can keep to, and with patterns for days and times."""
    if isinstance(schema, list):
        return [_known(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: value if key in _VALUES else _known(value) for key, value in schema.items()}
    named = schema.get("format")
    if not isinstance(named, str):
        return made
    if named in _PATTERNS and "pattern" not in schema:
        made["pattern"] = _PATTERNS[named]
        del made["format"]
    elif named not in _FORMATS:
        del made["format"]
    return made


def schema_of(wanted: Format) -> Mapping[str, Any]:
    """The JSON schema of a format that is JSON. Raises InvalidInput for one that is none."""
    if wanted.kind == "json_object" and not wanted.text:
        return _ANY
    try:
        found = json.loads(wanted.text)
    except (ValueError, RecursionError) as error:
        msg = f"the JSON schema is no JSON: {error}"
        raise InvalidInput(msg, param="response_format") from error
    if isinstance(found, bool):
        return {} if found else {"not": {}}
    if not isinstance(found, dict):
        msg = "the JSON schema must be a JSON object"
        raise InvalidInput(msg, param="response_format")
    return found
