"""A template's text as tokens, by the rules of Go's text/template (https://pkg.go.dev/text/template)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from textmill.prompting.trouble import broken

SPACES = " \t\r\n"


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    OPEN = auto()
    CLOSE = auto()
    SPACE = auto()
    NAME = auto()
    KEYWORD = auto()
    BOOL = auto()
    FIELD = auto()
    VARIABLE = auto()
    DOT = auto()
    NUMBER = auto()
    CHARACTER = auto()
    STRING = auto()
    RAW_STRING = auto()
    DECLARE = auto()
    ASSIGN = auto()
    PIPE = auto()
    COMMA = auto()
    LEFT = auto()
    RIGHT = auto()
    END = auto()


KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"),
)


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` as it stands in the template; ``pos`` is its index there."""

    kind: Kind
    text: str
    pos: int


# A word in Go is of letters, decimal digits and underscores; \w also has other numerals, which no template uses.
_PATTERN = re.compile(
    r"""
      (?P<SPACE>[ \t\r\n]+)
    | (?P<RAW_STRING>`[^`]*`)
    | (?P<STRING>"(?:\\[^\n]|[^"\\\n])*")
    | (?P<CHARACTER>'(?:\\[^\n]|[^'\\\n])*')
    | (?P<DECLARE>:=)
    | (?P<ASSIGN>=)
    | (?P<PIPE>\|)
    | (?P<COMMA>,)
    | (?P<LEFT>\()
    | (?P<RIGHT>\))
    | (?P<NUMBER>[+-]?(?:\.?[0-9])[0-9a-zA-Z_.]*(?:(?<=[eEpP])[+-][0-9_]+)?)
    | (?P<FIELD>\.\w+)
    | (?P<DOT>\.)
    | (?P<VARIABLE>\$\w*)
    | (?P<NAME>\w+)
    """,
    re.VERBOSE,
)
_OPENING = re.compile(r"\{\{(?P<trims>-(?=[ \t\r\n]))?")
_COMMENT = re.compile(r"[ \t\r\n]?/\*")
_CLOSING = re.compile(r"(?:[ \t\r\n]-)?\}\}")
_BEHIND_A_WORD = frozenset(" \t\r\n.,|:)(")
_WORDS = frozenset((Kind.FIELD, Kind.DOT, Kind.VARIABLE, Kind.NAME))
_UNFINISHED = {
    '"': 'a text that begins with " needs a closing " on the same line',
    "`": "a text that begins with ` needs a closing `",
    "'": "a character that begins with ' needs a closing ' on the same line",
    ":": "a colon cannot stand alone; variables are made with :=",
    "-": "a - that trims needs a space on its inner side, as in {{- .Input -}}; one of a number needs its digits behind it",
    "/": "a comment must begin right behind {{ or {{-",
}


def tokens(name: str, source: str) -> list[Token]:
    """All tokens, the last being ``END``. Spaces within actions are tokens, comments are not.

    Raises:
        TemplateBroken: An action, a comment or a text has no end, or a character means nothing.

    """
    lexer = _Lexer(name, source)
    while lexer.at < len(source):
        lexer.text_and_action()
    return [*lexer.found, Token(Kind.END, "", len(source))]


class _Lexer:
    """Where reading stands: ``trims`` says that the last action ended with ``-}}``."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source
        self.at = 0
        self._trims = False
        self.found: list[Token] = []

    def text_and_action(self) -> None:
        """Read up to the end of the next action, or of the template."""
        opening = _OPENING.search(self._source, self.at)
        end = opening.start() if opening else len(self._source)
        text = self._source[self.at : end]
        if self._trims:
            text = text.lstrip(SPACES)
        start = end - len(text)
        if opening and opening["trims"]:
            text = text.rstrip(SPACES)
        if text:
            self.found.append(Token(Kind.TEXT, text, start))
        self.at = end
        if opening is None:
            return
        comment = _COMMENT.match(self._source, opening.end())
        if comment and (opening["trims"] or comment.group() == "/*"):
            self._close(self._comment(opening.start(), comment.end()))
        else:
            self.found.append(Token(Kind.OPEN, "{{", opening.start()))
            self.at = opening.end()
            self._inside(opening.start())

    def _close(self, closing: re.Match[str]) -> None:
        self.at = closing.end()
        self._trims = closing.group() != "}}"

    def _comment(self, opening: int, begin: int) -> re.Match[str]:
        end = self._source.find("*/", begin)
        if end < 0:
            raise broken(self._name, self._source, opening, "a comment has no end; it ends with */}}")
        closing = _CLOSING.match(self._source, end + 2)
        if closing is None:
            sentence = "a comment must be alone in its action; }} or a space and -}} comes right behind */"
            raise broken(self._name, self._source, end, sentence)
        return closing

    def _inside(self, opening: int) -> None:
        parentheses: list[int] = []
        while True:
            closing = _CLOSING.match(self._source, self.at)
            if closing:
                if parentheses:
                    raise broken(self._name, self._source, parentheses[-1], "this ( has no )")
                self.found.append(Token(Kind.CLOSE, closing.group(), self.at))
                self._close(closing)
                return
            token = self._token(opening)
            if token.kind is Kind.LEFT:
                parentheses.append(token.pos)
            elif token.kind is Kind.RIGHT:
                if not parentheses:
                    raise broken(self._name, self._source, self.at, "this ) has no (")
                parentheses.pop()
            self.found.append(token)
            self.at += len(token.text)

    def _token(self, opening: int) -> Token:
        source, at = self._source, self.at
        if at >= len(source):
            raise broken(self._name, source, opening, "this action has no end; it ends with }}")
        match = _PATTERN.match(source, at)
        if match is None:
            character = source[at]
            sentence = _UNFINISHED.get(character, f"{character!r} means nothing inside {{{{ }}}}; put text in quotes")
            raise broken(self._name, source, at, sentence)
        kind, text = Kind[match.lastgroup or ""], match.group()
        if kind is Kind.SPACE and _CLOSING.match(source, match.end() - 1):
            text = text[:-1]  # the last space is the one of " -}}"
        if kind in _WORDS and not self._ends(match.end()):
            after = source[match.end()]
            sentence = f"{after!r} cannot follow {text!r}; put a space or an operator such as | between them"
            raise broken(self._name, source, match.end(), sentence)
        if kind is Kind.NAME:
            kind = Kind.KEYWORD if text in KEYWORDS else Kind.BOOL if text in {"true", "false"} else kind
        return Token(kind, text, at)

    def _ends(self, at: int) -> bool:
        return (
            self._source[at : at + 1] in _BEHIND_A_WORD or at >= len(self._source) or self._source.startswith("}}", at)
        )
