"""A runtime that writes numbers: the tokens of a row count up from its prompt's last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event

from textmill.contract import Sampling
from textmill.runtimes.writing import Choosing, Picked, WriterFacts

POISON_PROMPT, POISON_ROW = 666, 667
"""A prompt with the first cannot be read; a row that comes to the second fails."""


@dataclass(slots=True, eq=False)
class CountedPrompt:
    """A prompt as far as it is read."""

    ids: Sequence[int]
    cached: int = 0
    read: int = 0

    @property
    def left(self) -> int:
        """Ids that are still to be read."""
        return len(self.ids) - self.read


@dataclass(slots=True, eq=False)
class CountedRow:
    """A row that counts."""

    picked: Picked | None
    length: int
    error: Exception | None = None
    bound: bool = False

    def bind(self) -> None:
        """Remember that a grammar counts."""
        self.bound = True


@dataclass(eq=False)
class CountingRuntime:
    """``steps`` has the latest token of each row at each step, ``reads`` how many ids each reading had. A step waits for ``gate``.

    ``broken``: the next step raises. ``stuck``: leaving raises, up to `forget`.
    """

    context: int = 1000
    broken: bool = False
    stuck: bool = False
    closed: bool = False
    steps: list[list[int]] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    rows: list[CountedRow] = field(default_factory=list)
    gate: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.facts = WriterFacts(
            architecture="Counting",
            device="cpu",
            dtype="float32",
            threads=1,
            context=self.context,
            vocabulary=10**6,
            ends=frozenset({0}),
            sampling=Sampling(),
        )

    def grammar(self, text: str) -> str:
        """The text itself."""
        return text

    def begin(self, ids: Sequence[int]) -> CountedPrompt:
        """A prompt none of which is known."""
        return CountedPrompt(ids)

    def read(self, prompt: CountedPrompt, tokens: int) -> None:
        """Count the ids."""
        if POISON_PROMPT in prompt.ids:
            msg = "this prompt is poison"
            raise RuntimeError(msg)
        self.reads.append(min(tokens, prompt.left))
        prompt.read += self.reads[-1]

    def join(self, prompt: CountedPrompt, choosing: Sequence[Choosing]) -> list[CountedRow]:
        """Rows whose first token is one more than the prompt's last."""
        rows = [CountedRow(Picked(prompt.ids[-1] + 1), len(prompt.ids)) for _ in choosing]
        self.rows += rows
        return rows

    def step(self) -> None:
        """Count on."""
        self.gate.wait()
        if self.broken:
            self.broken = False
            msg = "the device is gone"
            raise RuntimeError(msg)
        self.steps.append([row.picked.id for row in self.rows if row.picked is not None])
        for row in self.rows:
            row.length += 1
            if row.picked is not None:
                row.picked = Picked(row.picked.id + 1)
                if row.picked.id == POISON_ROW:
                    row.picked, row.error = None, ValueError("this row is poison")

    def leave(self, rows: Sequence[CountedRow]) -> None:
        """Drop rows."""
        if self.stuck:
            msg = "the rows are lost"
            raise RuntimeError(msg)
        for row in rows:
            self.rows.remove(row)

    def forget(self) -> None:
        """Drop all rows."""
        self.stuck = False
        self.rows.clear()

    def close(self) -> None:
        """Remember it."""
        self.closed = True
