"""What each verb takes and gives: frozen dataclasses, and one Protocol a verb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Input = str | Sequence[int]
"""One input: a text, or the model's own token ids, special tokens included."""

Side = Literal["left", "right"]
"""The end of a text at which truncation cuts."""


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How to embed; the same for all inputs of a call.

    ``prompt`` is put in front of each text; ``prompt_name`` looks one up among the model's own. With neither, the model's
    default prompt applies; ``prompt=""`` means none. ``dimensions`` keeps that many leading values (Matryoshka) before
    normalising. ``truncate=False`` refuses texts that are too long instead of cutting them at ``truncate_side``, which is the
    model's own choice where it is None.
    """

    prompt: str | None = None
    prompt_name: str | None = None
    dimensions: int | None = None
    normalize: bool = True
    truncate: bool = True
    truncate_side: Side | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a call went, in seconds: means over its rows."""

    tokenize: float = 0.0
    queue: float = 0.0
    inference: float = 0.0


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The answer to an embed call, in the order of its inputs.

    ``vectors`` is float32 of shape (inputs, dimensions); ``tokens`` counts each input's tokens as computed, special tokens
    and prompt included; ``truncated`` says which inputs were cut.
    """

    vectors: npt.NDArray[np.float32]
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    timings: Timings


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model is: shown by ``/info``, ``/v1/models`` and the ready line.

    ``name`` is what clients call it and ``aliases`` what they may call it too, ``source`` where it came from (a folder or
    a hub id), ``revision`` the resolved commit where there is one. ``fingerprint`` is a hash of weights, heads, default prompt and precision: vectors
    of two models may be mixed in an index only where it is equal.
    """

    name: str
    aliases: tuple[str, ...]
    source: str
    revision: str | None
    architecture: str
    pooling: str
    dimensions: int
    max_tokens: int
    vocabulary: int
    prompts: tuple[str, ...]
    default_prompt: str | None
    runtime: str
    device: str
    dtype: str
    threads: int
    batch_tokens: int
    fingerprint: str
    created: int


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch was, for metrics.

    ``rows`` distinct rows with ``tokens`` tokens, ``padded_tokens`` = longest * rows, computed in ``seconds``;
    ``deduplicated_rows`` more were answered by them; ``failed_rows`` got no vector.
    """

    rows: int
    tokens: int
    padded_tokens: int
    seconds: float
    deduplicated_rows: int
    failed_rows: int


class Embed(Protocol):
    """A model that turns inputs into one dense vector each."""

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """Embed the inputs.

        Raises InvalidInput, Overloaded, Unavailable or ForwardFailed. Cancelling the call withdraws the rows that have
        not started.
        """
        ...
