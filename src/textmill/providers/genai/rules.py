"""What a text has to be, in the structural tags of xgrammar: JSON, words of a grammar, calls of tools as the model writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from textmill.contract import Format, Tool
from textmill.providers.genai.json_grammar import json_grammar
from textmill.providers.grammars import Style, schema_of
from textmill.providers.speech import REASONING
from textmill.runtimes.genai_messages import Rule

Tag = Mapping[str, Any]

_ANY: Mapping[str, Any] = {"type": "object"}


def format_tag(wanted: Format) -> Tag:
    """A format. Raises InvalidInput for a schema that is none."""
    if wanted.kind == "grammar":
        return {"type": "grammar", "grammar": wanted.text}
    return _json(schema_of(wanted))


def calls_tag(tools: Sequence[Tool], style: Style, *, several: bool, otherwise: Format | None = None) -> Tag:
    """One call or ``several``, or the format ``otherwise`` in their place."""
    calls = _calls(tools, style, several=several)
    return calls if otherwise is None else {"type": "or", "elements": [calls, format_tag(otherwise)]}


def rule_of(tag: Tag, thinking: str = "") -> Rule:
    """A rule for a whole text, behind the reasoning that the mark ``thinking`` has opened."""
    if tag["type"] == "grammar" and not thinking:
        return Rule("grammar", tag["grammar"])
    if thinking:
        thought = {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": REASONING[thinking]}
        tag = _sequence(thought, {"type": "regex", "pattern": r"\n{0,2}"}, tag)
    return Rule("tag", json.dumps({"type": "structural_tag", "format": tag}, ensure_ascii=False))


def _calls(tools: Sequence[Tool], style: Style, *, several: bool) -> Tag:
    if style == "bare":
        return _either([_sequence(_text(_head(tool, "parameters")), _arguments(tool), _text("}")) for tool in tools])
    if style == "mistral-named":
        return _either([_sequence(_text(f"[TOOL_CALLS]{tool.name}[ARGS]"), _arguments(tool)) for tool in tools])
    if style == "mistral":
        listed = [_tag(_head(tool, "arguments"), tool, "}") for tool in tools]
        return _sequence(_text("[TOOL_CALLS]["), _row(listed, ", ", several=several), _text("]"))
    marked = [_tag(f"<tool_call>\n{_head(tool, 'arguments')}", tool, "}\n</tool_call>") for tool in tools]
    return _row(marked, "\n", several=several)


def _head(tool: Tool, key: str) -> str:
    return f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "{key}": '


def _arguments(tool: Tool) -> Tag:
    return _json(tool.parameters or _ANY)


def _tag(begin: str, tool: Tool, end: str) -> Tag:
    return {"type": "tag", "begin": begin, "content": _arguments(tool), "end": end}


def _row(tags: Sequence[Tag], separator: str, *, several: bool) -> Tag:
    return {
        "type": "tags_with_separator",
        "tags": list(tags),
        "separator": separator,
        "at_least_one": True,
        "stop_after_first": not several,
    }


def _sequence(*parts: Tag) -> Tag:
    return {"type": "sequence", "elements": list(parts)}


def _either(parts: Sequence[Tag]) -> Tag:
    return parts[0] if len(parts) == 1 else {"type": "or", "elements": list(parts)}


def _text(value: str) -> Tag:
    return {"type": "const_string", "value": value}


def _json(schema: Mapping[str, Any]) -> Tag:
    """JSON of a schema; of one that xgrammar alone can read, with as many blanks as it lets the model write."""
    grammar = json_grammar(schema)
    if grammar is None:
        return {"type": "json_schema", "json_schema": schema}
    return _sequence({"type": "grammar", "grammar": grammar})
