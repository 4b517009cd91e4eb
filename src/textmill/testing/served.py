"""Models and a store for tests of servers: they answer at once, fail or wait, as the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TypedDict
from zlib import crc32

import numpy as np
import numpy.typing as npt

from textmill.contract import (
    Chunk,
    ChunkOptions,
    Chunks,
    Classifications,
    ClassifyOptions,
    Embeddings,
    EmbedOptions,
    Input,
    Known,
    ModelInfo,
    MultiEmbeddings,
    Pair,
    RerankOptions,
    Scores,
    SparseEmbeddings,
    SparseOptions,
    SparseVector,
    Task,
    TextOptions,
    Timings,
    Token,
    TokenizeOptions,
    ZeroShotOptions,
)
from textmill.errors import ModelNotFound
from textmill.testing.writer import ScriptedWriter

DIMENSIONS = 384
MAX_TOKENS = 256


def info_of(name: str) -> ModelInfo:
    """Facts of a model that does not exist."""
    return ModelInfo(
        name=name,
        aliases=(f"owner/{name}",),
        source=f"owner/{name}",
        revision=None,
        architecture="bert",
        tasks=("embed", "embed_tokens", "embed_sparse", "classify", "rerank", "chat", "complete"),
        labels=("joy", "anger", "fear"),
        pooling="mean",
        dimensions=DIMENSIONS,
        max_tokens=MAX_TOKENS,
        vocabulary=30522,
        prompts=("query",),
        default_prompt=None,
        runtime="fake",
        device="cpu",
        dtype="float32",
        int8_cosine=None,
        threads=2,
        batch_tokens=4096,
        batch_rows=64,
        tokenization_workers=2,
        fingerprint="f00d",
        created=1_700_000_000,
    )


def vector_of(item: Input | Pair, dimensions: int = DIMENSIONS) -> npt.NDArray[np.float32]:
    """A vector that depends on the input alone."""
    return _seeded(crc32(repr(item).encode()), dimensions).copy()


@lru_cache(maxsize=4096)  # the same character comes again and again
def _seeded(seed: int, dimensions: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)


class RecordingModel(ScriptedWriter):
    """A model without an engine: answers `vector_of`, raises ``error``, or waits until it is cancelled (``hold``).

    Where ``scores`` is given, all scores are that. ``calls`` has what it was asked; ``held`` and ``withdrawn`` are set when a held call begins and ends.
    """

    def __init__(self, name: str = "tiny") -> None:
        super().__init__()
        self.info = info_of(name)
        self.ready = True
        self.waiting = (0, 0)
        self.error: Exception | None = None
        self.scores: float | None = None
        self.hold = False
        self.held = asyncio.Event()
        self.withdrawn = asyncio.Event()
        self.calls: list[tuple[list[Input | Pair], object]] = []

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """Answer as told; counts two special tokens an input, and cuts beyond ``MAX_TOKENS`` characters or ids."""
        counts = await self._counted(inputs, options)
        vectors = np.stack([vector_of(item, options.dimensions or DIMENSIONS) for item in inputs])
        return Embeddings(vectors=vectors, **counts)

    async def embed_chunks_inputs(self, inputs: Sequence[str], options: ChunkOptions) -> Chunks:
        """Answer one chunk for each input or span, with its `vector_of`."""
        counts = await self._counted(inputs, options)
        spans = options.spans or [[(0, len(text))] for text in inputs]
        chunks = [
            tuple(Chunk(start, end, end - start, vector_of(text[start:end], 4)) for start, end in own)
            for text, own in zip(inputs, spans, strict=True)
        ]
        return Chunks(chunks=tuple(chunks), **counts)

    async def embed_tokens_inputs(self, inputs: Sequence[Input], options: TextOptions) -> MultiEmbeddings:
        """Answer a vector for each character or id."""
        counts = await self._counted(inputs, options)
        return MultiEmbeddings(
            vectors=tuple(
                np.stack([vector_of([ord(c) if isinstance(c, str) else c], 4) for c in item]) for item in inputs
            ),
            **counts,
        )

    async def embed_sparse_inputs(self, inputs: Sequence[Input], options: SparseOptions) -> SparseEmbeddings:
        """Answer one entry for each input: at the length of the input, its first value of `vector_of`."""
        counts = await self._counted(inputs, options)
        vectors = [SparseVector(np.array([len(item)], np.int32), vector_of(item, 1)) for item in inputs]
        return SparseEmbeddings(vectors=tuple(vectors), size=self.info.vocabulary, **counts)

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """Answer `vector_of` of each input as scores of the labels."""
        counts = await self._counted(inputs, options)
        scores = np.stack([vector_of(item, len(self.info.labels)) for item in inputs])
        scores = scores if self.scores is None else np.full_like(scores, self.scores)
        return Classifications(labels=self.info.labels, scores=scores, **counts)

    async def classify_zero_shot_inputs(
        self, inputs: Sequence[str], labels: Sequence[str], options: ZeroShotOptions
    ) -> Classifications:
        """Answer the length of each label as its score."""
        counts = await self._counted(inputs, options)
        scores = np.array([[len(label) for label in labels]] * len(inputs), np.float32)
        return Classifications(labels=tuple(labels), scores=scores, **counts)

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """Answer the length of each text as its score."""
        counts = await self._counted([(query, text) for text in texts], options)
        scores = [len(text) if self.scores is None else self.scores for text in texts]
        return Scores(scores=np.array(scores, np.float32), **counts)

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """Answer a token for each character between two special ones."""
        self.calls.append((list(inputs), options))
        return tuple(_tokens(text, special=options.special_tokens) for text in inputs)

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """Answer the character of each id but 101 and 102, which are special."""
        self.calls.append((list(inputs), skip_special_tokens))
        special = {101: "[CLS]", 102: "[SEP]"}
        return tuple(
            "".join(special.get(i, chr(i)) for i in ids if not (skip_special_tokens and i in special)) for ids in inputs
        )

    async def _counted(self, inputs: Sequence[Input | Pair], options: object) -> _Counts:
        self.calls.append((list(inputs), options))
        if self.error is not None:
            raise self.error
        if self.hold:
            self.held.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.withdrawn.set()
        return _Counts(
            tokens=tuple(len(item) + 2 for item in inputs),
            truncated=tuple(len(item) > MAX_TOKENS for item in inputs),
            timings=Timings(tokenize=0.001, queue=0.002, inference=0.003),
        )


def _tokens(text: str, *, special: bool) -> tuple[Token, ...]:
    found = []
    for index, character in enumerate(text):
        start = len(text[:index].encode())
        found.append(Token(ord(character), character, special=False, start=start, stop=start + len(character.encode())))
    if not special:
        return tuple(found)
    first, last = (
        Token(id_, name, special=True, start=None, stop=None) for id_, name in ((101, "[CLS]"), (102, "[SEP]"))
    )
    return (first, *found, last)


class _Counts(TypedDict):
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    timings: Timings


class RecordingStore:
    """Some models, the first the default. ``closed_with`` is the deadline that `close` was given, ``leases`` how many there are."""

    def __init__(self, *models: RecordingModel) -> None:
        self._models = models
        self.leases = 0
        self.closed_with: float | None = None

    @property
    def ready(self) -> bool:
        """Whether every model is."""
        return all(model.ready for model in self._models)

    def get(self, name: str | None) -> RecordingModel:
        """The model of that name, or the first."""
        for model in self._models:
            if not name or name in (model.info.name, *model.info.aliases):
                return model
        msg = f"no model {name!r} is loaded; there is {', '.join(model.info.name for model in self._models)}"
        raise ModelNotFound(msg)

    @asynccontextmanager
    async def lease(self, name: str | None = None, task: Task | None = None) -> AsyncIterator[RecordingModel]:
        """The same, for as long as it is used."""
        del task
        found = self.get(name)
        self.leases += 1
        try:
            yield found
        finally:
            self.leases -= 1

    async def unload(self, name: str) -> bool:
        """Say that the model has gone, and whether it was there until now."""
        found = self.get(name)
        was_there, found.ready = found.ready, False
        return was_there

    async def run(self) -> None:
        """Nothing to do."""

    def names(self) -> Collection[str]:
        """The names and aliases of all models."""
        return [name for model in self._models for name in (model.info.name, *model.info.aliases)]

    def memory(self, name: str) -> int:
        """Ten megabytes."""
        self.get(name)
        return 10**7

    def leaves_in(self, name: str) -> float | None:
        """None: all stay."""
        self.get(name)
        return None

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, RecordingModel | None]]:
        """All models, loaded."""
        del everything
        return [
            (Known(name=m.info.name, source=m.info.source, aliases=m.info.aliases), m.info, m) for m in self._models
        ]

    def models(self) -> Sequence[RecordingModel]:
        """All models."""
        return self._models

    def close(self, drain_s: float) -> None:
        """Note the deadline."""
        self.closed_with = drain_s
