"""Parts of templates and values become text, by the rules of Go's text/template (https://pkg.go.dev/text/template)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

from textmill.prompting import nodes
from textmill.prompting.functions import FUNCTIONS
from textmill.prompting.limits import MOST_NESTING, Budget
from textmill.prompting.printing import shown
from textmill.prompting.trouble import Trouble, broken
from textmill.prompting.values import MISSING, Record, Value, called, truth

Stop = Literal["break", "continue"] | None
"""What a body ended with before its end."""


class _Absent:
    """There is no result of an earlier command."""


_ABSENT: Final = _Absent()


class Evaluator:
    """Fills a template once; ``output`` is what it has printed."""

    def __init__(self, name: str, source: str, bodies: Mapping[str, nodes.Body]) -> None:
        self._name = name
        self._source = source
        self._bodies = bodies
        self._budget = Budget()
        self._variables: list[tuple[str, Value]] = []
        self._depth = 0
        self._pos = 0
        self.output: list[str] = []

    def run(self, data: Value) -> str:
        """The text that the template makes of the data.

        Raises:
            TemplateBroken: It cannot be filled with these data, or takes more than a template may.

        """
        self._variables = [("$", data)]
        try:
            self._body(self._bodies[self._name], data)
        except Trouble as error:
            raise broken(self._name, self._source, self._pos, str(error)) from None
        return "".join(self.output)

    def _fault(self, pos: int, sentence: str) -> Trouble:
        self._pos = pos
        return Trouble(sentence)

    def _write(self, text: str) -> None:
        self._budget.write(len(text))
        self.output.append(text)

    @contextmanager
    def _deeper(self, pos: int) -> Iterator[None]:
        """One level further in."""
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise self._fault(
                pos,
                f"blocks and templates are more than {MOST_NESTING} deep in each other; a template must not call itself without end",
            )
        yield
        self._depth -= 1

    @contextmanager
    def _scope(self, pos: int) -> Iterator[None]:
        """One level further in; variables made there are gone behind it."""
        with self._deeper(pos):
            seen = len(self._variables)
            yield
            del self._variables[seen:]

    # -- blocks

    def _body(self, body: nodes.Body, dot: Value) -> Stop:
        for node in body:
            self._pos = node.pos
            self._budget.step()
            stop = self._node(node, dot)
            if stop:
                return stop
        return None

    def _node(self, node: nodes.Node, dot: Value) -> Stop:
        match node:
            case nodes.Text():
                self._write(node.text)
            case nodes.Action():
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.variables:
                    self._write(shown(value, self._budget))
            case nodes.Break():
                return "break"
            case nodes.Continue():
                return "continue"
            case _:
                return self._block(node, dot)
        return None

    def _block(self, node: nodes.If | nodes.With | nodes.Range | nodes.Call, dot: Value) -> Stop:
        if isinstance(node, nodes.Call):
            self._call(node, dot)
            return None
        return self._range(node, dot) if isinstance(node, nodes.Range) else self._branches(node, dot)

    def _branches(self, node: nodes.If | nodes.With, dot: Value) -> Stop:
        with self._scope(node.pos):
            for branch in node.branches:
                value = self._pipeline(branch.pipeline, dot)
                if truth(value):
                    return self._body(branch.body, value if isinstance(node, nodes.With) else dot)
            return self._body(node.otherwise, dot)

    def _range(self, node: nodes.Range, dot: Value) -> Stop:
        with self._scope(node.pos):
            value = self._pipeline(node.pipeline, dot)
            seen = len(self._variables)
            rounds = 0
            for key, element in self._elements(node, value):
                rounds += 1
                self._budget.step()
                self._set_loop(node.pipeline, key, element)
                stop = self._body(node.body, element)
                del self._variables[seen:]
                if stop == "break":
                    break
            return None if rounds else self._body(node.otherwise, dot)

    def _elements(self, node: nodes.Range, value: Value) -> Iterator[tuple[Value, Value]]:
        if isinstance(value, list):
            return iter(list(enumerate(value)))
        if isinstance(value, dict):
            return iter(sorted(value.items()))
        if value is None or value is MISSING:
            return iter(())
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._fault(
                node.pipeline.pos, f"range goes through lists, maps and whole numbers, not through {called(value)}"
            )
        if len(node.pipeline.variables) > 1:
            raise self._fault(node.pipeline.pos, "range over a number sets one variable, not two")
        return ((None, number) for number in range(value))

    def _set_loop(self, pipeline: nodes.Pipeline, key: Value, element: Value) -> None:
        """One variable is the element; of two, the first is the key."""
        values = (element,) if len(pipeline.variables) == 1 else (key, element)
        for name, value in zip(pipeline.variables, values, strict=False):
            self._assign(pipeline.pos, name, value)

    def _call(self, node: nodes.Call, dot: Value) -> None:
        if node.name not in self._bodies:
            near = difflib.get_close_matches(node.name, self._bodies, n=1)
            hint = f'do you mean "{near[0]}"?' if near else f'define it with {{{{define "{node.name}"}}}} … {{{{end}}}}'
            raise self._fault(node.pos, f'there is no template "{node.name}" here; {hint}')
        inner = MISSING if node.pipeline is None else self._pipeline(node.pipeline, dot)
        with self._deeper(node.pos):
            outer, self._variables = self._variables, [("$", inner)]
            self._body(self._bodies[node.name], inner)
            self._variables = outer

    # -- pipelines

    def _pipeline(self, pipeline: nodes.Pipeline, dot: Value) -> Value:
        value: Value | _Absent = _ABSENT
        for command in pipeline.commands:
            value = self._command(command, dot, value)
            if value is None:
                value = MISSING  # Go looks into what a command gives, and in nil it finds nothing
        result = MISSING if isinstance(value, _Absent) else value
        for name in pipeline.variables:
            if pipeline.assigns:
                self._assign(pipeline.pos, name, result)
            else:
                self._variables.append((name, result))
        return result

    def _assign(self, pos: int, name: str, value: Value) -> None:
        self._variables[self._place(pos, name)] = (name, value)

    def _place(self, pos: int, name: str) -> int:
        """Where the nearest variable of that name is."""
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                return index
        raise self._fault(
            pos, f"the variable {name} was made in a part of the template that was not run; make it before"
        )

    def _command(self, command: nodes.Command, dot: Value, final: Value | _Absent) -> Value:
        self._budget.step()
        first, *rest = command.operands
        if isinstance(first, nodes.Function):
            return self._function(first, tuple(rest), dot, final)
        if rest:
            raise self._fault(
                rest[0].pos,
                f"{_wording(first)} is no function and takes no arguments; there may be a function or a | missing",
            )
        if not isinstance(final, _Absent):
            raise self._fault(first.pos, f"behind | comes the name of a function, not {_wording(first)}")
        if isinstance(first, nodes.Nil):
            raise self._fault(
                first.pos, "nil alone prints nothing and is not allowed; use it as an argument, as in eq .Content nil"
            )
        return self._operand(first, dot)

    def _operand(self, operand: nodes.Operand, dot: Value) -> Value:
        match operand:
            case nodes.Constant():
                return operand.value
            case nodes.Dot():
                return dot
            case nodes.Nil():
                return None
            case nodes.Function():
                return self._function(operand, (), dot, _ABSENT)
            case nodes.Pipeline():
                with self._deeper(operand.pos):
                    return self._pipeline(operand, dot)
        return self._part(operand, dot)

    def _part(self, operand: nodes.Field | nodes.Variable | nodes.Chain, dot: Value) -> Value:
        """Fields of the data at hand, of a variable or of a result."""
        if isinstance(operand, nodes.Field):
            return self._fields(operand.pos, dot, operand.names)
        if isinstance(operand, nodes.Variable):
            value = self._variables[self._place(operand.pos, operand.name)][1]
        else:
            value = self._operand(operand.of, dot)
        return self._fields(operand.pos, value, operand.fields)

    def _function(
        self, function: nodes.Function, arguments: tuple[nodes.Operand, ...], dot: Value, final: Value | _Absent
    ) -> Value:
        if function.name in {"and", "or"}:
            return self._logic(function, arguments, dot, final)
        values = [self._operand(argument, dot) for argument in arguments]
        if not isinstance(final, _Absent):
            values.append(final)
        self._pos = function.pos
        return FUNCTIONS[function.name].call(function.name, values, self._budget)

    def _logic(
        self, function: nodes.Function, arguments: tuple[nodes.Operand, ...], dot: Value, final: Value | _Absent
    ) -> Value:
        """The first argument that decides, or the last; those behind it are not looked at."""
        value: Value = MISSING
        for argument in arguments:
            value = self._operand(argument, dot)
            if truth(value) == (function.name == "or"):
                return value
        if isinstance(final, _Absent) and not arguments:
            raise self._fault(function.pos, f"{function.name} takes 1 argument or more, not 0")
        return value if isinstance(final, _Absent) else final

    def _fields(self, pos: int, value: Value, names: tuple[str, ...]) -> Value:
        for name in names:
            value = self._field(pos, value, name)
        return value

    def _field(self, pos: int, value: Value, name: str) -> Value:
        if value is MISSING:
            return MISSING
        if isinstance(value, dict):
            return value.get(name, MISSING)
        if isinstance(value, Record):
            if name in value.fields:
                return value.fields[name]
            near = difflib.get_close_matches(name, value.fields, n=1)
            hint = f"do you mean .{near[0]}?" if near else f"there are {', '.join(f'.{each}' for each in value.fields)}"
            raise self._fault(pos, f"there is no field .{name} here; {hint}")
        raise self._fault(
            pos,
            f"{called(value)} has no field .{name}; check with if that there is something, or take parts of lists with index",
        )


def _wording(operand: nodes.Operand) -> str:
    match operand:
        case nodes.Field():
            return "." + ".".join(operand.names)
        case nodes.Variable():
            return ".".join((operand.name, *operand.fields))
        case nodes.Constant():
            return repr(operand.value)
        case nodes.Dot():
            return "."
        case nodes.Nil():
            return "nil"
    return "what is in parentheses"
