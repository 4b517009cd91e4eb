"""What stands below ``function`` in a model file: how calls of tools are asked for and found in answers."""

from __future__ import annotations

from typing import Annotated

from textmill.folder.state import GENERATION, Section, later

Texts = tuple[str, ...]


class Pair(Section, frozen=True, kw_only=True):
    """A text and what stands in its place."""

    key: Annotated[str | None, later(GENERATION, "Regular expression")] = None
    value: Annotated[str | None, later(GENERATION, "What replaces it")] = None


class Trigger(Section, frozen=True, kw_only=True):
    """A word that switches the grammar on."""

    word: Annotated[str | None, later(GENERATION, "Word that switches the grammar on")] = None


class FunctionGrammar(Section, frozen=True, kw_only=True):
    """`function.grammar`."""

    disable: Annotated[bool | None, later(GENERATION, "No grammar for calls")] = None
    parallel_calls: Annotated[bool | None, later(GENERATION, "Several calls in one answer")] = None
    disable_parallel_new_lines: Annotated[bool | None, later(GENERATION, "No line breaks between them")] = None
    mixed_mode: Annotated[bool | None, later(GENERATION, "Text and calls in one answer")] = None
    no_mixed_free_string: Annotated[bool | None, later(GENERATION, "No free text in mixed mode")] = None
    prefix: Annotated[str | None, later(GENERATION, "Text before the grammar")] = None
    expect_strings_after_json: Annotated[bool | None, later(GENERATION, "Text may follow a call")] = None
    properties_order: Annotated[str | None, later(GENERATION, "Order of properties, such as name,arguments")] = None
    schema_type: Annotated[str | None, later(GENERATION, "Form of calls: json or llama3.1")] = None
    triggers: Annotated[tuple[Trigger, ...] | None, later(GENERATION, "Words that switch the grammar on")] = None


class XmlFormat(Section, frozen=True, kw_only=True):
    """`function.xml_format`."""

    scope_start: Annotated[str | None, later(GENERATION, "Before all calls")] = None
    tool_start: Annotated[str | None, later(GENERATION, "Before a call")] = None
    tool_sep: Annotated[str | None, later(GENERATION, "Behind the tool's name")] = None
    key_start: Annotated[str | None, later(GENERATION, "Before a key")] = None
    key_val_sep: Annotated[str | None, later(GENERATION, "Between key and value")] = None
    key_val_sep2: Annotated[str | None, later(GENERATION, "Another text between key and value")] = None
    val_end: Annotated[str | None, later(GENERATION, "Behind a value")] = None
    last_val_end: Annotated[str | None, later(GENERATION, "Behind the last value")] = None
    tool_end: Annotated[str | None, later(GENERATION, "Behind a call")] = None
    last_tool_end: Annotated[str | None, later(GENERATION, "Behind the last call")] = None
    scope_end: Annotated[str | None, later(GENERATION, "Behind all calls")] = None
    raw_argval: Annotated[bool | None, later(GENERATION, "Values are plain text")] = None
    trim_raw_argval: Annotated[bool | None, later(GENERATION, "Without blanks around them")] = None
    allow_toolcall_in_think: Annotated[bool | None, later(GENERATION, "Calls may stand in reasoning")] = None


class Function(Section, frozen=True, kw_only=True):
    """`function`."""

    disable_no_action: Annotated[bool | None, later(GENERATION, "No tool that means an answer in words")] = None
    no_action_function_name: Annotated[str | None, later(GENERATION, "Name of that tool")] = None
    no_action_description_name: Annotated[str | None, later(GENERATION, "Description of that tool")] = None
    grammar: Annotated[FunctionGrammar | None, later(GENERATION, "Grammar of calls")] = None
    response_regex: Annotated[Texts | None, later(GENERATION, "Expressions with the groups name and arguments")] = None
    json_regex_match: Annotated[Texts | None, later(GENERATION, "Expressions whose first group is the call")] = None
    argument_regex: Annotated[Texts | None, later(GENERATION, "Expressions that find arguments")] = None
    argument_regex_key_name: Annotated[str | None, later(GENERATION, "Their group with the key")] = None
    argument_regex_value_name: Annotated[str | None, later(GENERATION, "Their group with the value")] = None
    replace_function_results: Annotated[tuple[Pair, ...] | None, later(GENERATION, "Replacements in calls")] = None
    replace_llm_results: Annotated[tuple[Pair, ...] | None, later(GENERATION, "Replacements in answers")] = None
    capture_llm_results: Annotated[Texts | None, later(GENERATION, "What is kept as content beside calls")] = None
    function_name_key: Annotated[str | None, later(GENERATION, "Key of a tool's name")] = None
    function_arguments_key: Annotated[str | None, later(GENERATION, "Key of its arguments")] = None
    xml_format_preset: Annotated[str | None, later(GENERATION, "A known form of XML calls")] = None
    xml_format: Annotated[XmlFormat | None, later(GENERATION, "A form of XML calls")] = None
    automatic_tool_parsing_fallback: Annotated[bool | None, later(GENERATION, "Look for calls in plain text")] = None
    disable_peg_parser: Annotated[bool | None, later(GENERATION, "Without llama.cpp's own parser")] = None
