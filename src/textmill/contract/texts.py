"""What the verbs over texts take and give: vectors, scores, classes and tokens. The verbs are in `textmill.contract.verbs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from textmill.typed import Typed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Input = str | Sequence[int]
"""One input: a text, or the model's own token ids, special tokens included."""

Side = Literal["left", "right"]
"""The end of a text at which truncation cuts."""


Pair = tuple[str, str]
"""Two texts that a model reads together, the first before the second."""

Task = Literal[
    "embed",
    "embed_chunks",
    "embed_sparse",
    "embed_multi",
    "embed_hybrid",
    "embed_tokens",
    "classify",
    "classify_tokens",
    "classify_zero_shot",
    "rerank",
    "chat",
    "complete",
]
"""What a model can do, by the name of the verb."""

Scoring = Literal["softmax", "sigmoid", "raw"]
"""How logits become scores: shares of one, each on its own between 0 and 1, or not at all."""

Kind = Literal["query", "document"]
"""The side of a search that a text is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions(Typed):
    """How texts become rows; the same for all inputs of a call.

    ``prompt`` is put in front of each text; ``prompt_name`` looks one up among the model's own. With neither, the model's
    default prompt applies; ``prompt=""`` means none. ``truncate=False`` refuses texts that are too long instead of cutting
    them at ``truncate_side``, which is the model's own choice where it is None.
    """

    prompt: str | None = None
    prompt_name: str | None = None
    truncate: bool = True
    truncate_side: Side | None = None


@dataclass(frozen=True, slots=True)
class Chunking(Typed):
    """How a text is parted.

    A chunk has at most ``window`` tokens, special tokens and prompt included (None: as many as the model takes), and begins
    ``overlap`` tokens before the end of the one before.
    """

    window: int | None = None
    overlap: int = 0


TokenPooling = Literal["own", "mean", "last", "decayed_mean"]
"""How token states become one vector: as the model's files say, or in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedDefaults(Typed):
    """What embedding by a model means where a call does not say.

    ``norm`` is which norm of a vector becomes 1, as llama.cpp counts: 2 its length, 1 the sum of its values' sizes and so on; by 0
    the largest value becomes 32,760, and -1 scales nothing. ``half_life`` of ``decayed_mean`` is in tokens; ``encoding`` is the
    form of vectors in OpenAI's dialect.
    """

    norm: int = 2
    pooling: TokenPooling = "own"
    half_life: int = 256
    encoding: Literal["float", "base64"] = "float"


USUAL = EmbedDefaults()
"""Of models whose files say nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions(TextOptions):
    """How to embed. ``dimensions`` keeps that many leading values (Matryoshka) before normalising.

    ``normalize`` scales vectors to length one, or not; what is None here is as the model's `EmbedDefaults` say. ``pooling`` and
    ``half_life`` in tokens pool in another way than the model's own.

    With ``chunking``, texts that are too long are parted instead of cut, and their vector is the mean of their chunks' vectors,
    weighted by tokens.

    ``kind`` is the side of a search that the texts are on: where no prompt is given, the model's own for that side applies, and
    where it has none, its default.

    ``adapter`` names one of the model's task adapters; None takes the one that the prompt's name names, or the default.
    """

    kind: Kind | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    adapter: str | None = None
    chunking: Chunking | None = None
    pooling: TokenPooling | None = None
    half_life: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOptions(TextOptions):
    """How to embed each chunk of texts on its own.

    ``late`` pools the chunks from the states of the whole text, so that each knows what stands around it (late chunking,
    arXiv:2409.04701); ``spans`` has for each input the chunks as pairs of characters, first and behind the last, in place of
    ``chunking``, and needs ``late``. ``kind`` as in `EmbedOptions`.
    """

    kind: Kind | None = None
    chunking: Chunking = Chunking()
    late: bool = False
    spans: Sequence[Sequence[tuple[int, int]]] | None = None
    dimensions: int | None = None
    normalize: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseOptions(TextOptions):
    """How to embed sparsely. ``kind`` picks the side of a model that has two; ``top`` keeps that many of the largest weights."""

    kind: Kind = "document"
    top: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiOptions(TextOptions):
    """How to embed each token. ``kind`` picks prefix, length, expansion and skipped tokens of models that tell them apart."""

    kind: Kind = "document"
    normalize: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyOptions(TextOptions):
    """How to classify. ``scoring`` of None is the model's own: softmax, or sigmoid for several labels at once or one."""

    scoring: Scoring | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotOptions(TextOptions):
    """How to classify by labels of the caller's: ``hypothesis`` is a sentence with ``{}`` where a label goes.

    With ``multi_label`` each label is judged on its own; without, their scores share 1.
    """

    hypothesis: str = "This example is {}."
    multi_label: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankOptions(TextOptions):
    """How to rerank. ``scoring`` of None is a sigmoid; ``instruction`` says what counts as relevant, for models that take one."""

    scoring: Scoring | None = None
    instruction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeOptions(Typed):
    """How to tokenise: behind which prompt, as `TextOptions` has it, and whether ``special_tokens`` are put around."""

    prompt: str | None = None
    prompt_name: str | None = None
    special_tokens: bool = True


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a call went, in seconds: means over its rows."""

    tokenize: float = 0.0
    queue: float = 0.0
    inference: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What every answer has, in the order of its inputs.

    ``tokens`` counts each input's tokens as computed, special tokens and prompt included; ``truncated`` says which inputs were
    cut, ``cached`` how many had been computed before and came from the cache.
    """

    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    timings: Timings
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings(Answered):
    """``vectors`` is float32 of shape (inputs, dimensions)."""

    vectors: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text: its id, what it stands for, and the UTF-8 bytes ``start`` up to ``stop`` of prompt and text together.

    Special tokens stand nowhere: their ``text`` is the token's own name, their places are None.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a text, its characters ``start`` up to ``end``, of so many ``tokens``, and its float32 vector (dimensions,)."""

    start: int
    end: int
    tokens: int
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks(Answered):
    """The chunks of each input, in their order in the text."""

    chunks: tuple[tuple[Chunk, ...], ...]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """``indices`` int32 into the vocabulary, ascending, and their float32 ``values``, none of them 0."""

    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseEmbeddings(Answered):
    """A sparse vector for each input; ``size`` is how many entries the vocabulary has."""

    vectors: tuple[SparseVector, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiEmbeddings(Answered):
    """For each input a float32 array of shape (its vectors, dimensions)."""

    vectors: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridEmbeddings(Answered):
    """Dense, sparse and multi-vector embeddings from one pass; see `Embeddings`, `SparseEmbeddings`, `MultiEmbeddings`."""

    dense: npt.NDArray[np.float32]
    sparse: tuple[SparseVector, ...]
    multi: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifications(Answered):
    """``scores`` is float32 of shape (inputs, labels)."""

    labels: tuple[str, ...]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores(Answered):
    """``scores`` is float32 of shape (texts,): how relevant each text is, in the order given.

    ``query_tokens`` are those of a query that was computed by itself; where the model read it with each text, they count with those.
    """

    scores: npt.NDArray[np.float32]
    query_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A text at its place in a ranking: its ``index`` among the texts given, how relevant it is, and the text."""

    index: int
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text with a label: characters ``start`` up to ``end``, its mean ``score`` between 0 and 1."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities(Answered):
    """The entities of each input, in their order in the text."""

    entities: tuple[tuple[Entity, ...], ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model is: shown by ``/info``, ``/v1/models`` and the ready line.

    ``name`` is what clients call it and ``aliases`` what they may call it too, ``source`` where it came from (a folder or
    a hub id), ``revision`` the resolved commit where there is one. ``tasks`` are the verbs that it has, ``labels`` its classes
    in their order; ``pooling`` is empty and ``dimensions`` 0 where it makes no dense vectors;
    ``int8_cosine`` is the smallest one to float32 on built-in texts where it runs in int8. Batches have at most ``batch_tokens``
    tokens and ``batch_rows`` rows, and ``tokenization_workers`` threads tokenise for them. ``fingerprint`` is a hash of weights, heads, default prompt and precision: vectors
    of two models may be mixed in an index only where it is equal. ``template`` is the model's own chat template, empty where it has none or its
    engine does not tell. ``normalized``: its own files end in normalising, so that
    sentence-transformers gives vectors of length one whether they are asked for or not. ``around`` are the ids of the special tokens
    that stand around every text, empty where there are none or nobody tells.
    """

    name: str
    aliases: tuple[str, ...]
    source: str
    revision: str | None
    architecture: str
    tasks: tuple[Task, ...]
    labels: tuple[str, ...]
    pooling: str
    dimensions: int
    max_tokens: int
    vocabulary: int
    prompts: tuple[str, ...]
    default_prompt: str | None
    runtime: str
    device: str
    dtype: str
    int8_cosine: float | None
    threads: int
    batch_tokens: int
    batch_rows: int
    tokenization_workers: int
    fingerprint: str
    created: int
    defaults: EmbedDefaults = USUAL
    template: str = field(default="", repr=False)
    normalized: bool = False
    around: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a model before it is loaded: its names, where it comes from, and the verbs that it is expected to have.

    Empty ``tasks`` mean that nobody can tell. ``created`` is the time of its file in seconds since 1970, 0 where there is none.
    ``refusal`` is why it cannot be served, None where it can; one that is not ``listed`` answers to its name only.
    """

    name: str
    source: str
    aliases: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    created: int = 0
    refusal: str | None = None
    listed: bool = True


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch was, for metrics.

    ``rows`` distinct rows with ``tokens`` tokens, ``padded_tokens`` = longest * rows, computed in ``seconds``;
    ``deduplicated_rows`` more were answered by them; ``failed_rows`` got no vector. It ``began`` at that moment of
    `time.monotonic`; ``traced`` has the calls in it that are traced, by what they gave the engine to be known by, each with
    the moment it came in line.
    """

    rows: int
    tokens: int
    padded_tokens: int
    seconds: float
    deduplicated_rows: int
    failed_rows: int
    began: float = 0.0
    traced: tuple[tuple[object, float], ...] = ()
