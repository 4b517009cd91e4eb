"""Regular expressions of Go, which are RE2's (https://github.com/google/re2/wiki/Syntax), for the library `regex`.

`regex` knows more than RE2 and some of the same signs mean other things there: ``$`` also matches before a last line break,
the sets of digits and letters are those of Unicode. What RE2 does not know is refused, so that a model file works the same here and there.
`regex` tries one way after another where RE2 follows all at once, so a bad expression can take long: give its methods a timeout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import regex

from textmill.prompting.re2_classes import PERL, POSIX, Span, without, written
from textmill.prompting.trouble import Trouble

MOST_CHARACTERS = 10_000
MOST_NESTING = 100
MOST_REPEATS = 1000
_DIGITS = 4

_REPEAT = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")
_GROUP = re.compile(r"\(\?(?:P?<(?P<name>\w+)>|(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<end>[:)]))")
_POSIX = re.compile(r"\[:(\^?)(\w+):\]")
_PROPERTY = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)")
_CODE = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([1-7][0-7]{1,2}|0[0-7]{0,2}))")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REFERENCE = "; an expression cannot refer to its groups"
_WORD = f"[{written(PERL['w'])}]"
_EDGE = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_EDGE = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"
_ANCHORS = {"A": r"\A", "z": r"\Z", "b": _EDGE, "B": _NO_EDGE}


def compiled(expression: str) -> regex.Pattern[str]:
    """The pattern that matches what RE2's would.

    Raises:
        Trouble: It is not an expression of RE2, and what is wrong with it.

    """
    if len(expression) > MOST_CHARACTERS:
        msg = f"the expression has more than {MOST_CHARACTERS:,} characters"
        raise Trouble(msg)
    try:
        return regex.compile(_Translator(expression).pattern(), regex.VERSION0)
    except regex.error as error:
        msg = f"the expression cannot be used: {error}"
        raise Trouble(msg) from None


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool = False
    lines: bool = False
    all: bool = False
    lazy: bool = False

    def changed(self, letters: str) -> _Flags:
        names = {"i": "ignore_case", "m": "lines", "s": "all", "U": "lazy"}
        on, _, off = letters.partition("-")
        return replace(self, **{names[each]: True for each in on}, **{names[each]: False for each in off})


class _Translator:
    """Reads an expression from the left; ``_flags`` hold where it stands."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0
        self._flags = _Flags()
        self._outer: list[_Flags] = []

    def pattern(self) -> str:
        parts: list[str] = []
        while self._at < len(self._text):
            parts.append(self._part())
        if self._outer:
            msg = "a ( has no )"
            raise Trouble(msg)
        return "".join(parts)

    def _part(self) -> str:
        character = self._text[self._at]
        if character == "(":
            return self._open()
        if character == "|":
            self._at += 1
            return "|"
        if _REPEAT.match(self._text, self._at):
            msg = f"there is nothing before {character} that it could repeat"
            raise Trouble(msg)
        return self._close() if character == ")" else self._atom(character) + self._repeat()

    def _open(self) -> str:
        if len(self._outer) >= MOST_NESTING:
            msg = f"groups are nested more than {MOST_NESTING} deep"
            raise Trouble(msg)
        if not self._text.startswith("(?", self._at):
            self._outer.append(self._flags)
            self._at += 1
            return "("
        match = _GROUP.match(self._text, self._at)
        if match is None or (match["flags"] == "" and match["end"] == ")"):
            msg = f"{self._text[self._at : self._at + 4]} is unknown; neither looking ahead or behind nor groups of other kinds can be used"
            raise Trouble(msg)
        self._at = match.end()
        if match["end"] != ")":
            self._outer.append(self._flags)
        self._flags = self._flags.changed(match["flags"] or "")
        if match["name"]:
            return f"(?P<{match['name']}>"
        return "(?:" if match["end"] == ":" else ""

    def _close(self) -> str:
        if not self._outer:
            msg = "a ) has no ("
            raise Trouble(msg)
        self._flags = self._outer.pop()
        self._at += 1
        return ")" + self._repeat()

    def _repeat(self) -> str:
        match = _REPEAT.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        bounds = [
            int(each[-9:]) if len(each.lstrip("0")) <= _DIGITS else MOST_REPEATS + 1
            for each in re.findall("[0-9]+", match.group())
        ]
        if max(bounds, default=0) > MOST_REPEATS or bounds != sorted(bounds):
            msg = f"{match.group()[:40]} is no number of times; the most is {MOST_REPEATS}, and the smaller comes first"
            raise Trouble(msg)
        lazy = self._text.startswith("?", self._at)
        self._at += lazy
        again = _REPEAT.match(self._text, self._at)
        if again:
            msg = f"{match.group()}{again.group()} repeats twice; put what is repeated in ( )"
            raise Trouble(msg)
        return match.group() + ("?" if lazy != self._flags.lazy else "")

    def _atom(self, character: str) -> str:
        if character == "[":
            return self._cased(self._set())
        if character == "\\":
            return self._escape()
        self._at += 1
        if character == ".":
            return "(?s:.)" if self._flags.all else r"[^\n]"
        if character == "^":
            return "(?m:^)" if self._flags.lines else r"(?:\A)"
        if character == "$":
            return "(?m:$)" if self._flags.lines else r"(?:\Z)"
        return self._cased(re.escape(character))

    def _cased(self, atom: str) -> str:
        return f"(?i:{atom})" if self._flags.ignore_case else atom

    def _escape(self) -> str:
        following = self._text[self._at + 1 : self._at + 2]
        if following == "Q":
            return self._quoted()
        if following in _ANCHORS:
            self._at += 2
            return f"(?:{_ANCHORS[following]})"
        found = self._perl() or self._property()
        if found:
            return self._cased(f"[{found}]")
        return self._cased(re.escape(self._character()))

    def _quoted(self) -> str:
        end = self._text.find("\\E", self._at)
        text = self._text[self._at + 2 : end if end >= 0 else len(self._text)]
        self._at = end + 2 if end >= 0 else len(self._text)
        return "".join(self._cased(re.escape(each)) for each in text)

    def _perl(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if not letter or letter.lower() not in PERL:
            return ""
        self._at += 2
        return written(PERL[letter] if letter.islower() else without(PERL[letter.lower()]))

    def _property(self) -> str:
        match = _PROPERTY.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _character(self) -> str:
        """The character at hand, which may be escaped."""
        character = self._text[self._at]
        if character != "\\":
            self._at += 1
            return character
        match = _CODE.match(self._text, self._at)
        if match:
            self._at = match.end()
            code = int(match[1] or match[2], 16) if match[3] is None else int(match[3], 8)
            return _unicode(code, match.group())
        escaped = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if escaped in _CONTROLS:
            return _CONTROLS[escaped]
        if not escaped or escaped.isalnum() or not escaped.isascii():
            msg = (
                "a single \\ ends the expression"
                if not escaped
                else f"\\{escaped} is unknown{_REFERENCE if escaped.isdigit() else ''}"
            )
            raise Trouble(msg)
        return escaped

    def _set(self) -> str:
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        parts: list[str] = []
        while not parts or not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                msg = "a [ has no ]"
                raise Trouble(msg)
            parts.append(self._item())
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _item(self) -> str:
        posix = _POSIX.match(self._text, self._at)
        if posix:
            if posix[2] not in POSIX:
                msg = f"{posix.group()} is no set of characters"
                raise Trouble(msg)
            self._at = posix.end()
            return written(without(POSIX[posix[2]]) if posix[1] else POSIX[posix[2]])
        if self._text[self._at] == "\\" and (found := self._perl() or self._property()):
            return found
        return written([self._span()])

    def _span(self) -> Span:
        first = ord(self._character())
        follows = self._text[self._at + 1 : self._at + 2]
        if not self._text.startswith("-", self._at) or follows in ("]", ""):
            return first, first
        self._at += 1
        last = ord(self._character())
        if last < first:
            msg = f"{chr(first)}-{chr(last)} in [ ] goes backwards"
            raise Trouble(msg)
        return first, last


def _unicode(code: int, text: str) -> str:
    if code > 0x10FFFF:  # noqa: PLR2004 - the last of Unicode
        msg = f"{text} is no character"
        raise Trouble(msg)
    return chr(code)
