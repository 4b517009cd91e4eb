"""What stands below ``function`` in a model file: how calls of tools are asked for and found in answers."""

from __future__ import annotations

from typing import Annotated

from textmill.folder.state import Section, acts, idle

Texts = tuple[str, ...]


class Pair(Section, frozen=True, kw_only=True):
    """A text and what stands in its place."""

    key: Annotated[str | None, acts("Regular expression")] = None
    value: Annotated[str | None, acts("What replaces it")] = None


class Trigger(Section, frozen=True, kw_only=True):
    """A word that switches the grammar on."""

    word: Annotated[str | None, idle("The grammar is on from the beginning")] = None


class FunctionGrammar(Section, frozen=True, kw_only=True):
    """`function.grammar`."""

    disable: Annotated[bool | None, acts("No grammar for calls")] = None
    parallel_calls: Annotated[bool | None, acts("Several calls in one answer")] = None
    disable_parallel_new_lines: Annotated[bool | None, idle("Calls are a JSON array")] = None
    mixed_mode: Annotated[bool | None, idle("Calls or words, never both, where a grammar is on")] = None
    no_mixed_free_string: Annotated[bool | None, idle("Calls or words, never both, where a grammar is on")] = None
    prefix: Annotated[str | None, idle("The grammar is on from the beginning")] = None
    expect_strings_after_json: Annotated[bool | None, idle("Calls or words, never both, where a grammar is on")] = None
    properties_order: Annotated[str | None, idle("The order of a schema stays")] = None
    schema_type: Annotated[str | None, idle("Calls are JSON")] = None
    triggers: Annotated[tuple[Trigger, ...] | None, idle("The grammar is on from the beginning")] = None


class XmlFormat(Section, frozen=True, kw_only=True):
    """`function.xml_format`."""

    scope_start: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    tool_start: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    tool_sep: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    key_start: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    key_val_sep: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    key_val_sep2: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    val_end: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    last_val_end: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    tool_end: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    last_tool_end: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    scope_end: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    raw_argval: Annotated[bool | None, idle("The engine reads calls as models write them")] = None
    trim_raw_argval: Annotated[bool | None, idle("The engine reads calls as models write them")] = None
    allow_toolcall_in_think: Annotated[bool | None, idle("The engine reads calls as models write them")] = None


class Function(Section, frozen=True, kw_only=True):
    """`function`."""

    disable_no_action: Annotated[bool | None, acts("No tool that means an answer in words")] = None
    no_action_function_name: Annotated[str | None, acts("Name of that tool")] = None
    no_action_description_name: Annotated[str | None, acts("Description of that tool")] = None
    grammar: Annotated[FunctionGrammar | None, acts("Grammar of calls")] = None
    response_regex: Annotated[Texts | None, acts("Expressions with the groups name and arguments")] = None
    json_regex_match: Annotated[Texts | None, acts("Expressions whose first group is the call")] = None
    argument_regex: Annotated[Texts | None, acts("Expressions that find arguments")] = None
    argument_regex_key_name: Annotated[str | None, acts("Their group with the key")] = None
    argument_regex_value_name: Annotated[str | None, acts("Their group with the value")] = None
    replace_function_results: Annotated[tuple[Pair, ...] | None, acts("Replacements in calls")] = None
    replace_llm_results: Annotated[tuple[Pair, ...] | None, acts("Replacements in answers")] = None
    capture_llm_results: Annotated[Texts | None, acts("What is kept as content beside calls")] = None
    function_name_key: Annotated[str | None, acts("Key of a tool's name")] = None
    function_arguments_key: Annotated[str | None, acts("Key of its arguments")] = None
    xml_format_preset: Annotated[str | None, idle("The engine reads calls as models write them")] = None
    xml_format: Annotated[XmlFormat | None, idle("The engine reads calls as models write them")] = None
    automatic_tool_parsing_fallback: Annotated[bool | None, idle("Calls in plain JSON are always found")] = None
    disable_peg_parser: Annotated[bool | None, idle("The engine reads calls as models write them")] = None
