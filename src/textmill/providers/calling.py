"""How models of LocalAI's templates are made to call tools, and how calls are found in what they write: section ``function``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import regex

from textmill.contract import Format, Named, Tool, ToolCall, ToolChoice
from textmill.errors import ModelBroken
from textmill.folder.function import Function, FunctionGrammar
from textmill.prompting.re2 import compiled
from textmill.prompting.trouble import Trouble

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Expression:
    """A regular expression of a model file."""

    field: str
    pattern: regex.Pattern[str]

    def all(self, text: str) -> list[regex.Match[str]]:
        """Its matches. Raises ModelBroken where they take too long."""
        try:
            return list(self.pattern.finditer(text, timeout=_PATIENCE_S, concurrent=True))
        except TimeoutError:
            msg = f"{self.field} takes more than {_PATIENCE_S:g} seconds on an answer; write it so that it can match in one way only"
            raise ModelBroken(msg) from None

    def replaced(self, text: str, by: str) -> str:
        """The text with all matches replaced. Raises ModelBroken where they take too long."""
        try:
            return str(self.pattern.sub(lambda _: by, text, timeout=_PATIENCE_S, concurrent=True))
        except TimeoutError:
            msg = f"{self.field} takes more than {_PATIENCE_S:g} seconds on an answer; write it so that it can match in one way only"
            raise ModelBroken(msg) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """How calls are asked for and read.

    A ``bound`` model writes by a grammar: one call, or ``several``, each ``{name: …, arguments: …}`` under these keys; unless it ``must``
    act, it may call a tool ``answer`` in place of those of the request, whose message is then its answer in words.
    """

    bound: bool = True
    several: bool = False
    must: bool = False
    answer: str = "answer"
    answer_means: str = "use this action to answer without performing any action"
    name_key: str = "name"
    arguments_key: str = "arguments"
    replaced: tuple[tuple[_Expression, str], ...] = ()
    replaced_calls: tuple[tuple[_Expression, str], ...] = ()
    captured: tuple[_Expression, ...] = ()
    json: tuple[_Expression, ...] = ()
    responses: tuple[_Expression, ...] = ()
    arguments: tuple[_Expression, ...] = ()
    argument_key: str = "key"
    argument_value: str = "value"

    def format(self, tools: Sequence[Tool], choice: ToolChoice, *, parallel: bool) -> Format:
        """The JSON schema of what the model writes where it is bound."""
        wanted = [tool for tool in tools if not isinstance(choice, Named) or tool.name == choice.name]
        schemas = [self._schema(tool.name, tool.parameters or {"type": "object", "properties": {}}) for tool in wanted]
        free = choice == "auto" and not self.must and not any(tool.strict for tool in tools)
        if free:
            schemas.append(self._schema(self.answer, _MESSAGE))
        one: dict[str, Any] = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        if self.several and parallel:
            one = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
        return Format("json_schema", json.dumps(one, ensure_ascii=False))

    def answering(self, tools: Sequence[Tool], choice: ToolChoice) -> tuple[Tool, ...]:
        """The tools that the prompt tells of."""
        shown = tuple(tool for tool in tools if not isinstance(choice, Named) or tool.name == choice.name)
        if choice == "auto" and self.bound and not self.must and not any(tool.strict for tool in tools):
            return (*shown, Tool(name=self.answer, description=self.answer_means, parameters=_MESSAGE))
        return shown

    def read(self, text: str, tools: Sequence[Tool]) -> tuple[str, tuple[ToolCall, ...]]:
        """The words and the calls in what a model wrote. Raises ModelBroken for an expression that takes too long."""
        for expression, by in self.replaced:
            text = expression.replaced(text, by)
        words = "\n".join(
            match.group(1) if match.re.groups else match.group() for each in self.captured for match in each.all(text)
        )
        found = self._found(text)
        names = {tool.name for tool in tools}
        calls = tuple(
            ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, arguments) for name, arguments in found if name in names
        )
        if calls:
            return words, calls
        told = next((arguments for name, arguments in found if name == self.answer), None)
        return (text if told is None else _message(told)), ()

    def _schema(self, name: str, parameters: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {self.name_key: {"const": name}, self.arguments_key: parameters},
            "required": [self.name_key, self.arguments_key],
            "additionalProperties": False,
        }

    def _found(self, text: str) -> list[tuple[str, str]]:
        """The calls in a text: by the file's expressions where it has some, else where the whole text is JSON of them."""
        for expression, by in self.replaced_calls:
            text = expression.replaced(text, by)
        for expression in self.json:
            parts = [match.group(1) if match.re.groups else match.group() for match in expression.all(text)]
            if made := [call for part in parts for call in self._of_json(part)]:
                return made
        for expression in self.responses:
            made = [call for match in expression.all(text) if (call := self._of_match(match)) is not None]
            if made:
                return made
        return self._of_json(text)

    def _of_json(self, text: str) -> list[tuple[str, str]]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return []
        calls = []
        for each in value if isinstance(value, list) else [value]:
            name = each.get(self.name_key) if isinstance(each, dict) else None
            if isinstance(name, str):
                arguments = each.get(self.arguments_key, {})
                calls.append(
                    (name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
                )
        return calls

    def _of_match(self, match: regex.Match[str]) -> tuple[str, str] | None:
        groups = match.groupdict()
        name = groups.get("name")
        if not name:
            return None
        arguments = groups.get("arguments") or "{}"
        if self.arguments:
            pairs = [found.groupdict() for each in self.arguments for found in each.all(arguments)]
            told = {pair.get(self.argument_key) or "": pair.get(self.argument_value) or "" for pair in pairs}
            arguments = json.dumps(told, ensure_ascii=False)
        return name, arguments


_MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}


def calling_of(stated: Function | None) -> Calling:
    """What a model file says. Raises ModelBroken for an expression that is none."""
    if stated is None:
        return Calling()
    grammar, usual = stated.grammar or FunctionGrammar(), Calling()
    return Calling(
        bound=not grammar.disable,
        several=bool(grammar.parallel_calls),
        must=bool(stated.disable_no_action),
        answer=stated.no_action_function_name or usual.answer,
        answer_means=stated.no_action_description_name or usual.answer_means,
        name_key=stated.function_name_key or usual.name_key,
        arguments_key=stated.function_arguments_key or usual.arguments_key,
        replaced=_pairs(stated.replace_llm_results, "replace_llm_results"),
        replaced_calls=_pairs(stated.replace_function_results, "replace_function_results"),
        captured=_expressions(stated.capture_llm_results, "capture_llm_results"),
        json=_expressions(stated.json_regex_match, "json_regex_match"),
        responses=_expressions(stated.response_regex, "response_regex"),
        arguments=_expressions(stated.argument_regex, "argument_regex"),
        argument_key=stated.argument_regex_key_name or usual.argument_key,
        argument_value=stated.argument_regex_value_name or usual.argument_value,
    )


def _pairs(stated: Sequence[Any] | None, field: str) -> tuple[tuple[_Expression, str], ...]:
    return tuple(
        (_expression(pair.key, f"function.{field}[{index}].key"), pair.value or "")
        for index, pair in enumerate(stated or ())
        if pair.key
    )


def _expressions(stated: Sequence[str] | None, field: str) -> tuple[_Expression, ...]:
    return tuple(_expression(text, f"function.{field}[{index}]") for index, text in enumerate(stated or ()) if text)


def _expression(text: str, field: str) -> _Expression:
    try:
        return _Expression(field, compiled(text))
    except Trouble as error:
        msg = f"{field}: {error}: {text[:200]!r}"
        raise ModelBroken(msg) from None


def _message(arguments: str) -> str:
    """The words in the arguments of the tool that stands for an answer."""
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) else arguments
