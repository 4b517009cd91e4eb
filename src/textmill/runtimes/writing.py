"""What a runtime that writes text takes and gives: prompts are read in parts, then rows write a token a step, all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from textmill.contract import Sampling


@dataclass(frozen=True, slots=True)
class Scored:
    """A token and its log-probability, before temperature and all else that sampling does."""

    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Picked:
    """The next token of a row; ``scored`` and the likeliest tokens at its place, likeliest first, where they were asked for.

    ``last``: the grammar allows nothing behind it.
    """

    id: int
    scored: Scored | None = None
    top: tuple[Scored, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """How a row's tokens are chosen. In ``sampling`` nothing that the runtime uses is None, ``seed`` is not negative.

    ``logprobs`` is how many alternatives are told, None for no log-probabilities at all. ``grammar`` is from `WritingRuntime.grammar`.
    """

    sampling: Sampling
    logprobs: int | None = None
    grammar: Any | None = None
    free: bool = False
    """Whether the grammar waits until `Row.bind`."""


class Prompt(Protocol):
    """A prompt that is read. ``cached`` of its ids were known before, ``left`` are still to be read."""

    ids: Sequence[int]
    cached: int

    @property
    def left(self) -> int:
        """Ids that are still to be read."""
        ...


class Row(Protocol):
    """A text that is written: ``picked`` is its latest token, or ``error`` why it has none."""

    picked: Picked | None
    error: Exception | None

    @property
    def length(self) -> int:
        """Tokens of it that are read: those of the prompt and all that were written but the latest."""
        ...

    def bind(self) -> None:
        """From the next token on its grammar counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterFacts:
    """What runs. ``context`` is how many tokens a row has at most, ``vocabulary`` how many ids there are, ``ends`` those of ends of a text."""

    architecture: str
    device: str
    dtype: str
    threads: int
    context: int
    vocabulary: int
    ends: frozenset[int]
    sampling: Sampling
    """What the model's generation_config.json says of sampling; None for what it does not say."""


P = TypeVar("P", bound=Prompt)
R = TypeVar("R", bound=Row)


class WritingRuntime(Protocol[P, R]):
    """One model on one device; all methods but `grammar` are for one thread."""

    facts: WriterFacts

    def grammar(self, text: str) -> Any:
        """A grammar in llguidance's words for `Choosing`. Raises InvalidInput for one that is wrong, ExtraMissing; any thread."""
        ...

    def begin(self, ids: Sequence[int]) -> P:
        """A prompt of at least one id, none of it read but what is known already."""
        ...

    def read(self, prompt: P, tokens: int) -> None:
        """Read on, so many tokens at most."""
        ...

    def join(self, prompt: P, choosing: Sequence[Choosing]) -> Sequence[R]:
        """Rows that go on with a prompt that is read, with their first tokens. Where it raises, there is none of them, and the others stay."""
        ...

    def step(self) -> None:
        """Read the latest token of each row and pick the next one. Where it raises, no row can go on, and `forget` must follow."""
        ...

    def leave(self, rows: Sequence[R]) -> None:
        """Let go of rows. Where it raises, `forget` must follow."""
        ...

    def forget(self) -> None:
        """Let go of all rows and of all that is remembered, whatever has failed before; never raises."""
        ...

    def close(self) -> None:
        """Let go of all rows, and of the weights."""
        ...


class Words(Protocol):
    """The model's tokenizer and its chat template; any thread."""

    template: str
    """The text of the chat template, empty where there is none."""
    special: Mapping[int, str]
    """Special tokens, which are no part of a text."""
    added: Mapping[int, str]
    """Tokens that are found in a text before it is cut, special ones among them."""

    def encode(self, text: str, *, special_tokens: bool) -> list[int]:
        """The ids of a text; ``special_tokens``: with those that the model wants around it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included; bytes that are no UTF-8 are U+FFFD."""
        ...

    def data(self, id_: int) -> bytes:
        """The bytes of a token."""
        ...

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
    ) -> str:
        """A conversation as the model's template writes it, up to where the model goes on. Raises InvalidInput where it refuses."""
        ...
