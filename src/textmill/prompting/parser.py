"""Tokens become parts of templates, by the rules of Go's text/template (https://pkg.go.dev/text/template)."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from textmill.errors import TemplateBroken
from textmill.prompting import nodes
from textmill.prompting.lexer import Kind, Token, tokens
from textmill.prompting.limits import MOST_NESTING, MOST_SOURCE, MOST_VARIABLES
from textmill.prompting.literals import character, number, string
from textmill.prompting.trouble import Trouble, broken

_CONTROLS = frozenset(("if", "range", "with", "template", "block", "break", "continue"))
_STOPS = ("end", "else")
_AT_ONCE = {"range": 2}


def parse(name: str, source: str, functions: Collection[str], refused: Mapping[str, str]) -> dict[str, nodes.Body]:
    """The bodies of a template by their names: its own below ``name``, and those that it defines.

    ``functions`` may be called; ``refused`` says of other functions why they may not.

    Raises:
        TemplateBroken: It is not a template, with the place and what to do about it.

    """
    if len(source) > MOST_SOURCE:
        raise broken(name, source, 0, f"the template has more than {MOST_SOURCE:,} characters")
    parser = _Parser(name, source, functions, refused)
    body = parser.root()
    return {**parser.defined, name: body} if body or name not in parser.defined else parser.defined


class _Parser:
    """Reads tokens one after another; ``_variables`` are those that can be seen here."""

    def __init__(self, name: str, source: str, functions: Collection[str], refused: Mapping[str, str]) -> None:
        self._name = name
        self._source = source
        self._functions = functions
        self._refused = refused
        self._tokens = tokens(name, source)
        self._at = 0
        self._variables = ["$"]
        self._loops = 0
        self._depth = 0
        self.defined: dict[str, nodes.Body] = {}

    def root(self) -> nodes.Body:
        """The whole template; only here may others be defined."""
        found: list[nodes.Node] = []
        while self._peek().kind is not Kind.END:
            if self._keyword_of_action() == "define":
                self._define()
            elif self._keyword_of_action() in _STOPS:
                token = self._tokens[self._at + 1]
                raise self._fault(
                    self._after_spaces(),
                    f"this {{{{{token.text.strip() or self._keyword_of_action()}}}}} belongs to nothing",
                )
            else:
                found += self._node()
        return tuple(found)

    # -- tokens

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _skip(self) -> Token:
        """The next token that is no space, which stays."""
        if self._peek().kind is Kind.SPACE:
            self._at += 1
        return self._peek()

    def _after_spaces(self) -> int:
        """Where the word behind ``{{`` is."""
        token = self._tokens[self._at + 1]
        return self._tokens[self._at + 2].pos if token.kind is Kind.SPACE else token.pos

    def _keyword_of_action(self) -> str:
        """The keyword that the next action begins with; empty where there is none."""
        if self._peek().kind is not Kind.OPEN:
            return ""
        at = self._at + 1
        if self._tokens[at].kind is Kind.SPACE:
            at += 1
        token = self._tokens[at]
        return token.text if token.kind is Kind.KEYWORD else ""

    def _fault(self, pos: int, sentence: str) -> TemplateBroken:
        return broken(self._name, self._source, pos, sentence)

    def _close(self, what: str) -> None:
        token = self._skip()
        if token.kind is not Kind.CLOSE:
            raise self._fault(token.pos, f"{token.text!r} is too much; {{{{{what}}}}} takes nothing more")
        self._next()

    def _enter(self, pos: int) -> None:
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise self._fault(
                pos, f"blocks and parentheses are nested more than {MOST_NESTING} deep; simplify the template"
            )

    # -- blocks

    def _body(self, opened: Token, what: str) -> tuple[nodes.Body, str]:
        """What stands before ``{{end}}`` or ``{{else``, and which of them; the latter's keyword is read."""
        self._enter(opened.pos)
        found: list[nodes.Node] = []
        while (keyword := self._keyword_of_action()) not in _STOPS:
            if self._peek().kind is Kind.END:
                raise self._fault(opened.pos, f"this {{{{{what}}}}} has no {{{{end}}}}")
            found += self._node()
        self._next()
        self._skip()
        self._next()
        self._depth -= 1
        return tuple(found), keyword

    def _node(self) -> tuple[nodes.Node, ...]:
        token = self._next()
        if token.kind is Kind.TEXT:
            return (nodes.Text(token.pos, token.text),)
        word = self._skip()
        if word.kind is not Kind.KEYWORD or word.text == "nil":
            return (nodes.Action(word.pos, self._pipeline("action", Kind.CLOSE)),)
        self._next()
        if word.text not in _CONTROLS:
            raise self._fault(word.pos, "define may not stand inside another block; move it to the top of the template")
        return (self._control(word),)

    def _control(self, word: Token) -> nodes.Node:
        if word.text in {"break", "continue"}:
            self._close(word.text)
            if not self._loops:
                raise self._fault(
                    word.pos, f"{{{{{word.text}}}}} may stand only between {{{{range}}}} and its {{{{end}}}}"
                )
            return nodes.Break(word.pos) if word.text == "break" else nodes.Continue(word.pos)
        if word.text in {"template", "block"}:
            return self._call(word)
        seen = len(self._variables)
        control = self._range(word) if word.text == "range" else self._branches(word)
        del self._variables[seen:]
        return control

    def _branches(self, word: Token) -> nodes.If | nodes.With:
        """An if or with; each ``else if`` sees the variables of the conditions before it."""
        branches: list[nodes.Branch] = []
        otherwise: nodes.Body = ()
        while True:
            pipeline = self._pipeline(word.text, Kind.CLOSE)
            body, stop = self._body(word, word.text)
            branches.append(nodes.Branch(pipeline, body))
            if stop == "end":
                self._close("end")
                break
            if self._skip().text == word.text and self._peek().kind is Kind.KEYWORD:
                self._next()
                continue
            otherwise = self._otherwise(word)
            break
        return (nodes.If if word.text == "if" else nodes.With)(word.pos, tuple(branches), otherwise)

    def _range(self, word: Token) -> nodes.Range:
        pipeline = self._pipeline("range", Kind.CLOSE)
        self._loops += 1
        body, stop = self._body(word, "range")
        self._loops -= 1
        if stop == "end":
            self._close("end")
            return nodes.Range(word.pos, pipeline, body, ())
        return nodes.Range(word.pos, pipeline, body, self._otherwise(word))

    def _otherwise(self, word: Token) -> nodes.Body:
        self._close("else")
        body, stop = self._body(word, word.text)
        if stop != "end":
            raise self._fault(
                self._tokens[self._at - 1].pos,
                f"this {{{{{word.text}}}}} has an else already; one {{{{end}}}} is missing before",
            )
        self._close("end")
        return body

    def _quoted_name(self, what: str) -> str:
        token = self._skip()
        if token.kind not in {Kind.STRING, Kind.RAW_STRING}:
            raise self._fault(token.pos, f'{what} needs a name in quotes, such as {{{{{what} "tools"}}}}')
        self._next()
        return self._string(token)

    def _call(self, word: Token) -> nodes.Call:
        name = self._quoted_name(word.text)
        if word.text == "template" and self._skip().kind is Kind.CLOSE:
            self._next()
            return nodes.Call(word.pos, name, None)
        pipeline = self._pipeline(word.text, Kind.CLOSE)
        if word.text == "block":
            self._definition(word, name)
        return nodes.Call(word.pos, name, pipeline)

    def _define(self) -> None:
        self._next()
        word = self._skip()
        self._next()
        name = self._quoted_name("define")
        self._close(f'define "{name}"')
        self._definition(word, name)

    def _definition(self, word: Token, name: str) -> None:
        """Read a body that sees none of the variables and loops around it, and keep it."""
        variables, loops = self._variables, self._loops
        self._variables, self._loops = ["$"], 0
        body, stop = self._body(word, word.text)
        if stop != "end":
            raise self._fault(self._tokens[self._at - 1].pos, f"{word.text} takes no else")
        self._close("end")
        self._variables, self._loops = variables, loops
        if not _blank(body):
            if not _blank(self.defined.get(name, ())):
                raise self._fault(word.pos, f'"{name}" is defined twice; give one of the two another name')
            self.defined[name] = body
        else:
            self.defined.setdefault(name, body)

    # -- pipelines

    def _pipeline(self, what: str, end: Kind) -> nodes.Pipeline:
        begin = self._skip()
        names, assigns = self._declarations(what)
        commands: list[nodes.Command] = []
        while True:
            token = self._skip()
            if token.kind is end:
                self._next()
                break
            commands.append(self._command(what, len(commands)))
        if not commands:
            raise self._fault(begin.pos, f"a value is missing in this {what}")
        return nodes.Pipeline(begin.pos, tuple(commands), names, assigns)

    def _declarations(self, what: str) -> tuple[tuple[str, ...], bool]:
        """The variables before ``:=`` or ``=``; none are read where neither comes."""
        found: list[Token] = []
        start = self._at
        while self._skip().kind is Kind.VARIABLE:
            found.append(self._next())
            sign = self._skip()
            if sign.kind is Kind.COMMA and len(found) < _AT_ONCE.get(what, 1):
                self._next()
                continue
            if sign.kind is Kind.COMMA:
                raise self._fault(sign.pos, f"{what} cannot set so many variables; {{{{range $i, $v := …}}}} sets two")
            if sign.kind not in {Kind.ASSIGN, Kind.DECLARE}:
                break
            self._next()
            assigns = sign.kind is Kind.ASSIGN
            for token in found if assigns else ():
                self._known(token)
            self._variables += [token.text for token in found]
            if len(self._variables) > MOST_VARIABLES:
                raise self._fault(found[0].pos, f"the template has more than {MOST_VARIABLES} variables here")
            return tuple(token.text for token in found), assigns
        if len(found) > 1:
            raise self._fault(found[-1].pos, "behind two variables comes := and what to go through")
        self._at = start
        return (), False

    def _known(self, token: Token) -> None:
        if token.text not in self._variables:
            near = difflib.get_close_matches(token.text, self._variables[1:], n=1)
            hint = f"do you mean {near[0]}?" if near else f"make it first with {{{{{token.text} := …}}}}"
            raise self._fault(token.pos, f"there is no variable {token.text} here; {hint}")

    def _command(self, what: str, before: int) -> nodes.Command:
        begin = self._skip()
        operands: list[nodes.Operand] = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
            if self._peek().kind is not Kind.SPACE:
                break
            self._skip()
        token = self._peek()
        if token.kind is Kind.PIPE:
            self._next()
        elif token.kind not in {Kind.CLOSE, Kind.RIGHT}:
            raise self._unexpected(token, what)
        if not operands:
            raise self._fault(
                begin.pos,
                "a value is missing beside this |" if token.kind is Kind.PIPE else f"a value is missing in this {what}",
            )
        if before and isinstance(operands[0], nodes.Constant | nodes.Dot | nodes.Nil):
            raise self._fault(operands[0].pos, "behind | comes the name of a function, which takes what is before it")
        return nodes.Command(begin.pos, tuple(operands))

    def _unexpected(self, token: Token, what: str) -> TemplateBroken:
        if token.kind is Kind.KEYWORD:
            return self._fault(token.pos, f"the word {token.text} cannot stand here; it begins an action of its own")
        if token.kind is Kind.END:
            return self._fault(token.pos, f"this {what} has no end")
        return self._fault(
            token.pos, f"{token.text!r} cannot stand here; there may be a space or a | missing before it"
        )

    def _operand(self) -> nodes.Operand | None:
        token = self._skip()
        term = self._term(token)
        if term is None:
            return None
        first = self._peek()
        fields: list[str] = []
        while self._peek().kind is Kind.FIELD:
            fields.append(self._next().text[1:])
        if not fields:
            return term
        if isinstance(term, nodes.Field):
            return nodes.Field(term.pos, (*term.names, *fields))
        if isinstance(term, nodes.Variable):
            return nodes.Variable(term.pos, term.name, tuple(fields))
        if isinstance(term, nodes.Pipeline | nodes.Function):
            return nodes.Chain(term.pos, term, tuple(fields))
        raise self._fault(first.pos, f"{token.text} has no fields")

    def _term(self, token: Token) -> nodes.Operand | None:
        if token.kind is Kind.LEFT:
            self._next()
            self._enter(token.pos)
            inner = self._pipeline("parenthesis", Kind.RIGHT)
            self._depth -= 1
            return inner
        term = self._word(token)
        if term is None:
            term = self._constant(token)
        if term is not None:
            self._next()
        return term

    def _word(self, token: Token) -> nodes.Operand | None:
        if token.kind is Kind.DOT:
            return nodes.Dot(token.pos)
        if token.kind is Kind.FIELD:
            return nodes.Field(token.pos, (token.text[1:],))
        if token.kind is Kind.KEYWORD and token.text == "nil":
            return nodes.Nil(token.pos)
        if token.kind is Kind.VARIABLE:
            self._known(token)
            return nodes.Variable(token.pos, token.text)
        if token.kind is Kind.NAME:
            self._callable(token)
            return nodes.Function(token.pos, token.text)
        return None

    def _constant(self, token: Token) -> nodes.Constant | None:
        if token.kind is Kind.BOOL:
            return nodes.Constant(token.pos, token.text == "true")
        try:
            if token.kind is Kind.NUMBER:
                return nodes.Constant(token.pos, number(token.text))
            if token.kind is Kind.CHARACTER:
                return nodes.Constant(token.pos, character(token.text))
        except Trouble as error:
            raise self._fault(token.pos, str(error)) from None
        return nodes.Constant(token.pos, self._string(token)) if token.kind in {Kind.STRING, Kind.RAW_STRING} else None

    def _string(self, token: Token) -> str:
        try:
            return string(token.text)
        except Trouble as error:
            raise self._fault(token.pos, str(error)) from None

    def _callable(self, token: Token) -> None:
        if token.text in self._functions:
            return
        if token.text in self._refused:
            raise self._fault(token.pos, f"{token.text}: {self._refused[token.text]}")
        near = difflib.get_close_matches(token.text, self._functions, n=1, cutoff=0.7)
        hint = (
            f"do you mean {near[0]}?" if near else f"fields are written with a dot, .{token.text}, and texts in quotes"
        )
        raise self._fault(token.pos, f"there is no function {token.text}; {hint}")


def _blank(body: nodes.Body) -> bool:
    return all(isinstance(node, nodes.Text) and not node.text.strip() for node in body)
