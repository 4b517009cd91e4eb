"""What a model file has done to answers: ``cutstrings``, ``extract_regex``, ``trimspace`` and ``trimsuffix``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from textmill.errors import ModelBroken
from textmill.prompting.re2 import compiled
from textmill.prompting.sprig_text import trimmed
from textmill.prompting.trouble import Trouble


@dataclass(frozen=True, slots=True)
class _Expression:
    """A regular expression, what errors call it, such as ``cutstrings[0]``, and how long it may take."""

    name: str
    pattern: regex.Pattern[str]
    seconds: float

    def apply(self, use: Callable[[regex.Pattern[str], str, float], str], text: str) -> str:
        try:
            return use(self.pattern, text, self.seconds)
        except TimeoutError:
            msg = f"{self.name} takes more than {self.seconds:g} seconds on an answer; write the expression so that it can match in one way only"
            raise ModelBroken(msg) from None


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to an answer, in this order: a prefix, ``cutstrings``, ``extract_regex``, ``trimspace``, ``trimsuffix``."""

    cutstrings: tuple[_Expression, ...] = ()
    extract_regex: tuple[_Expression, ...] = ()
    trimspace: tuple[str, ...] = ()
    trimsuffix: tuple[str, ...] = ()
    reply_prefix: str = ""

    @classmethod
    def of(
        cls,
        *,
        cutstrings: Sequence[str] = (),
        extract_regex: Sequence[str] = (),
        trimspace: Sequence[str] = (),
        trimsuffix: Sequence[str] = (),
        reply_prefix: str = "",
        seconds: float = 2.0,
    ) -> Cleaning:
        """What the fields of a model file say; each expression may take so many seconds on an answer.

        Raises:
            ModelBroken: An expression is none of RE2; the message names the field and the entry.

        """
        cuts = tuple(_expression(f"cutstrings[{index}]", text, seconds) for index, text in enumerate(cutstrings))
        extracts = tuple(
            _expression(f"extract_regex[{index}]", text, seconds) for index, text in enumerate(extract_regex)
        )
        return cls(cuts, extracts, tuple(trimspace), tuple(trimsuffix), reply_prefix)

    def clean(self, answer: str, *, echo: str = "") -> str:
        """An answer after it; ``echo`` is a prompt to be put before it.

        All that a ``cutstrings`` matches is removed. The first match of each ``extract_regex``, one behind another, replaces the
        answer unless all are empty. An entry of ``trimspace`` is removed from the beginning, one of ``trimsuffix`` from the
        end, and after each the spaces around the answer.

        Raises:
            ModelBroken: An expression takes too long.

        """
        text = echo + self.reply_prefix + answer
        for expression in self.cutstrings:
            text = expression.apply(_cut, text)
        found = "".join(expression.apply(_first, text) for expression in self.extract_regex)
        text = found or text
        for prefix in self.trimspace:
            text = trimmed(text.removeprefix(prefix))
        for suffix in self.trimsuffix:
            text = trimmed(text.removesuffix(suffix))
        return text


# concurrent lets other threads run meanwhile: one answer's expression must not hold up the server.
def _cut(pattern: regex.Pattern[str], text: str, seconds: float) -> str:
    return str(pattern.sub("", text, timeout=seconds, concurrent=True))


def _first(pattern: regex.Pattern[str], text: str, seconds: float) -> str:
    match = pattern.search(text, timeout=seconds, concurrent=True)
    return str(match.group()) if match else ""


def _expression(name: str, text: str, seconds: float) -> _Expression:
    try:
        return _Expression(name, compiled(text), seconds)
    except Trouble as error:
        msg = f"{name}: {error}: {text[:200]!r}"
        raise ModelBroken(msg) from None
