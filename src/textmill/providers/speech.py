"""Parts what a model writes in a conversation into content, reasoning and calls, by the marks that models put around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textmill.contract import CallPiece
from textmill.providers.called import CallReader, may_be_call
from textmill.providers.written import beginning

REASONING: dict[str, str] = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<seed:think>": "</seed:think>",
    "<|think|>": "<|/think|>",
    "<|channel>thought": "<channel|>",
    "[THINK]": "[/THINK]",
}
"""Marks around reasoning."""
CALLS: dict[str, str] = {"<tool_call>": "</tool_call>", "[TOOL_CALLS]": "", "<|python_tag|>": ""}
"""Marks before calls and behind them; empty: the calls go on up to the end."""
MARKS: tuple[str, ...] = (*REASONING, *REASONING.values(), *CALLS, "</tool_call>", "[ARGS]", "[CALL_ID]")
"""Marks that are read even where they are special tokens."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a text adds."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.calls)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model speaks. ``thinking``: its text begins within reasoning that the mark there has opened, empty where it does not.

    ``tools`` are the names of those that it may call; ``bare``: calls may stand without marks. ``bound``: a grammar has it that thoughts
    and calls come first, so that marks behind the beginning of the content are part of it. Unless ``several``, only the first call is wanted.
    """

    thinking: str = ""
    tools: tuple[str, ...] = ()
    bare: bool = False
    bound: bool = False
    several: bool = True


class Speech:
    """Reads one choice."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._opening = (*REASONING, *(CALLS if manner.tools else ()))
        self._close = REASONING.get(manner.thinking, "")
        self._where = "reasoning" if manner.thinking else "content"
        self._held = ""
        self._calls = CallReader()
        self._begun = not (manner.tools and manner.bare)
        self._fresh = bool(manner.thinking)
        self._settled = False

    @property
    def calls(self) -> int:
        """Calls that are whole."""
        return self._calls.whole

    @property
    def thinks(self) -> bool:
        """Whether it is within reasoning."""
        return self._where == "reasoning"

    def push(self, text: str) -> Said:
        """What the text adds; what may be a mark is held back."""
        self._held += text
        made: list[Said] = []
        while True:
            said, again = self._step()
            if said:
                made.append(said)
            if not again:
                return _joined(made)

    def finish(self) -> Said:
        """What is left at the end."""
        held, self._held = self._held, ""
        if self._where == "calls":
            made = self._calls.push(held)
            more, text = self._calls.finish()
            return Said(content=text, calls=(*made, *more))
        return self._plain(held)

    def _step(self) -> tuple[Said, bool]:
        if not self._begun:
            return self._first()
        if self._where == "content":
            return self._bound_content() if self._manner.bound else self._until(self._opening)
        if self._where == "calls" and not self._close:
            held, self._held = self._held, ""
            return Said(calls=self._calls.push(held)), False
        return self._until((self._close,))

    def _first(self) -> tuple[Said, bool]:
        """Decide whether the text begins with a call without marks."""
        if self._where != "content":  # reasoning comes first
            return self._until((self._close,))
        if any(self._held.lstrip().startswith(mark) for mark in self._opening):
            self._begun = True
            return Said(), True
        call = may_be_call(self._held, self._manner.tools)
        if call is None:
            return Said(), False
        self._begun = True
        if call:
            self._where, self._close = "calls", ""
        return Said(), True

    def _bound_content(self) -> tuple[Said, bool]:
        """Tell of content as it is, unless it begins with a mark."""
        bare = self._held.lstrip()
        if not self._settled:
            if bare.startswith(self._opening):
                return self._until(self._opening)
            if any(mark.startswith(bare) for mark in self._opening):  # it may become one
                return Said(), False
            self._settled = True
        text, self._held = self._held, ""
        return self._plain(text), False

    def _until(self, marks: Sequence[str]) -> tuple[Said, bool]:
        """Tell of what stands before the first of the marks, and go on behind it."""
        places = [(place, -len(mark), mark) for mark in marks if (place := self._held.find(mark)) >= 0]
        if not places:
            keep = beginning(self._held, marks)
            text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
            return self._plain(text), False
        place, _, mark = min(places)
        text, self._held = self._held[:place], self._held[place + len(mark) :]
        said = self._plain(text)
        if self._where == "content":
            self._open(mark)
            return said, True
        if self._where == "calls" and self._calls.within:  # a text among the arguments
            return _joined([said, self._plain(mark)]), True
        return _joined([said, self._shut()]), True

    def _open(self, mark: str) -> None:
        self._where = "reasoning" if mark in REASONING else "calls"
        self._close = {**REASONING, **CALLS}[mark]
        self._fresh = True

    def _shut(self) -> Said:
        """Go on with content behind a mark that closes."""
        said = Said()
        if self._where == "calls":
            more, text = self._calls.finish()
            said = Said(content=text, calls=more)
        self._where, self._close, self._fresh = "content", "", True
        return said

    def _plain(self, text: str) -> Said:
        """Text of where it stands; blanks right behind a mark belong to it."""
        if self._where == "calls":
            return Said(calls=self._calls.push(text))
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return Said(reasoning=text) if self.thinks else Said(content=text)


def _joined(said: Sequence[Said]) -> Said:
    if len(said) == 1:
        return said[0]
    return Said(
        "".join(each.content for each in said),
        "".join(each.reasoning for each in said),
        tuple(piece for each in said for piece in each.calls),
    )
