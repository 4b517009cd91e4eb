"""A call on its way from the process to who asked: tokens become events, and choices that are over are let go of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textmill.engine.writing import Took
from textmill.errors import TextmillError
from textmill.providers.telling import Telling
from textmill.runtimes.genai_messages import Wrote
from textmill.runtimes.writing import Picked, Scored


class NoRow:
    """A row of the process's, of which nothing is known here: its grammar counts from where the rule says."""

    picked: Picked | None = None
    error: Exception | None = None
    length = 0

    def bind(self) -> None:
        """Nothing to do."""


class Heard:
    """Listens to a call of so many choices. ``leave`` lets go of one; ``told`` says that the likeliest token is the one written."""

    def __init__(self, telling: Telling, choices: int, leave: Callable[[int, int | None], None], *, told: bool) -> None:
        self._telling = telling
        self._leave = leave
        self._open = set(range(choices))
        self._told = told
        self._row = NoRow()
        self._prompt_s = 0.0
        self._joined = 0.0

    def wrote(self, told: Wrote) -> None:
        """Tell of tokens up to the one that ends the choice."""
        if not self._joined:
            self._prompt_s, self._joined = told.prompt_s, time.perf_counter()
        if told.choice not in self._open:
            return
        for index, id_ in enumerate(told.ids):
            if self._telling.wrote(told.choice, self._picked(id_, told.logprobs, index), self._row):
                self._open.discard(told.choice)
                if self._open:
                    self._leave(told.call, told.choice)
                break
        if not self._open:
            self._leave(told.call, None)
            self._telling.over(Took(0, self._prompt_s, time.perf_counter() - self._joined))

    def failed(self, error: TextmillError) -> None:
        """Tell of an error."""
        self._telling.failed(error)

    def _picked(self, id_: int, logprobs: Sequence[float], index: int) -> Picked:
        if not logprobs:
            return Picked(id_)
        scored = Scored(id_, logprobs[index])
        return Picked(id_, scored, (scored,) if self._told else ())
