"""Tokens to text as they come: characters that several tokens make wait for all of them, and stop strings end a text."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.runtimes.writing import Words

_OPEN = "\ufffd"
"""What bytes decode to that are no whole character yet."""
_LONGEST = 8
"""Tokens after which such bytes are no beginning of a character any more."""


class Detokenizer:
    """Text of one choice behind the last tokens ``before`` it. Tokens of ``hidden`` have no text."""

    def __init__(self, words: Words, hidden: frozenset[int], before: Sequence[int] = ()) -> None:
        self._words = words
        self._hidden = hidden
        self._ids: list[int] = list(before)
        self._told = len(self._ids)

    def push(self, id_: int) -> str:
        """The text that a token brings; empty while a character is not whole."""
        if id_ in self._hidden:
            return ""
        self._ids.append(id_)
        return self._tell(final=len(self._ids) - self._told >= _LONGEST)

    def flush(self) -> str:
        """What is left at the end; bytes that are no character are U+FFFD."""
        return self._tell(final=True) if self._told < len(self._ids) else ""

    def _tell(self, *, final: bool) -> str:
        """What the tokens that were not told of add to those before them: a tokenizer may write a token as its neighbours have it."""
        before = self._words.decode(self._ids[: self._told])
        text = self._words.decode(self._ids)
        if text.endswith(_OPEN) and not final:
            return ""
        added = text[len(before) :]
        # The last token told of is enough to know how the next one is written.
        self._ids = self._ids[self._told :]
        self._told = len(self._ids)
        return added


class StopStrings:
    """Finds texts that end a choice; what may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, text: str) -> tuple[str, str | None]:
        """What may be told of the text so far, and the stop string that ended it, the one that ends first."""
        if not self._stops:
            return text, None
        held = self._held + text
        found = [(place + len(stop), place, stop) for stop in self._stops if (place := held.find(stop)) >= 0]
        if found:
            _, place, stop = min(found)
            self._held = ""
            return held[:place], stop
        keep = max(_overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep], None

    def flush(self) -> str:
        """What is held back."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many of the text's last characters a stop string begins with, less than the whole."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)


def beginning(text: str, marks: Sequence[str]) -> int:
    """How many of the text's last characters may be the beginning of a mark."""
    return max((_overlap(text, mark) for mark in marks), default=0)
