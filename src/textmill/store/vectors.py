"""The verbs of a loaded model that make other vectors than one dense one of each text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from textmill.contract import (
    Chunk,
    Chunking,
    ChunkOptions,
    Chunks,
    EmbedOptions,
    HybridEmbeddings,
    Input,
    Kind,
    MultiEmbeddings,
    MultiOptions,
    SparseEmbeddings,
    SparseOptions,
    SparseVector,
    TextOptions,
)
from textmill.store.verbs import Verbs
from textmill.tasks.inputs import as_inputs, as_texts
from textmill.tasks.line import Line


class VectorVerbs:
    """Sparse, multi-vector and token embeddings; arguments that `Model.embed` has too mean the same, and so do the errors.

    Each raises WrongTask where the model does something else; ``info.tasks`` says what it does. The verbs that begin with an a
    are for event loops, those that end in ``_inputs`` give the whole answer, for servers.
    """

    _verbs: Verbs
    _line: Line

    def embed_chunks(
        self,
        texts: str | Iterable[str],
        *,
        window: int | None = None,
        overlap: int = 0,
        late: bool = False,
        spans: Sequence[Sequence[tuple[int, int]]] | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        kind: Kind | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> list[tuple[Chunk, ...]]:
        """Part texts into chunks and embed each, with the characters that it stands for; texts may have any length.

        Args:
            texts: texts; a single one counts as a list of one.
            window: tokens of a chunk, special tokens and prompt included; by default as many as the model takes.
            overlap: how many tokens a chunk shares with the one before.
            late: pool chunks from the states of the whole text, so that each knows its surroundings (late chunking,
                arXiv:2409.04701); only for models that pool by a mean.
            spans: for each text the chunks, such as its sentences, as pairs of characters, in place of windows; with ``late``.
            prompt: as `Model.embed`.
            prompt_name: as `Model.embed`.
            kind: as `Model.embed`.
            dimensions: as `Model.embed`.
            normalize: as `Model.embed`.

        Returns:
            For each text its chunks, in order.

        """
        options = ChunkOptions(
            chunking=Chunking(window, overlap),
            late=late,
            spans=spans,
            prompt=prompt,
            prompt_name=prompt_name,
            kind=kind,
            dimensions=dimensions,
            normalize=normalize,
        )
        verb, inputs = self._verbs.need(self._verbs.embed_chunks, "embed_chunks"), as_texts(texts, alone=True)
        return list(self._line.answer_now(verb.call(inputs, options), whole=True).chunks) if inputs else []

    async def aembed_chunks(
        self,
        texts: str | Iterable[str],
        *,
        window: int | None = None,
        overlap: int = 0,
        late: bool = False,
        spans: Sequence[Sequence[tuple[int, int]]] | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        kind: Kind | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> list[tuple[Chunk, ...]]:
        """`embed_chunks` for event loops."""
        options = ChunkOptions(
            chunking=Chunking(window, overlap),
            late=late,
            spans=spans,
            prompt=prompt,
            prompt_name=prompt_name,
            kind=kind,
            dimensions=dimensions,
            normalize=normalize,
        )
        inputs = as_texts(texts, alone=True)
        return list((await self.embed_chunks_inputs(inputs, options)).chunks) if inputs else []

    async def embed_chunks_inputs(self, inputs: Sequence[str], options: ChunkOptions) -> Chunks:
        """The whole answer of `embed_chunks`."""
        verb = self._verbs.need(self._verbs.embed_chunks, "embed_chunks")
        return await self._line.answer(verb.call(inputs, options), whole=True)

    def embed_sparse(
        self,
        texts: str | Iterable[Input],
        *,
        kind: Kind = "document",
        top: int | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate: bool = True,
    ) -> list[SparseVector]:
        """Weigh the vocabulary's entries for each text.

        ``kind`` picks the side of a model that embeds queries in another way than documents; ``top`` keeps that many of the
        largest weights of each text.
        """
        options = SparseOptions(kind=kind, top=top, prompt=prompt, prompt_name=prompt_name, truncate=truncate)
        verb, inputs = self._verbs.need(self._verbs.embed_sparse, "embed_sparse"), as_inputs(texts)
        return list(self._line.answer_now(verb.call(inputs, options)).vectors) if inputs else []

    async def aembed_sparse(
        self,
        texts: str | Iterable[Input],
        *,
        kind: Kind = "document",
        top: int | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate: bool = True,
    ) -> list[SparseVector]:
        """`embed_sparse` for event loops."""
        options = SparseOptions(kind=kind, top=top, prompt=prompt, prompt_name=prompt_name, truncate=truncate)
        inputs = as_inputs(texts)
        return list((await self.embed_sparse_inputs(inputs, options)).vectors) if inputs else []

    async def embed_sparse_inputs(self, inputs: Sequence[Input], options: SparseOptions) -> SparseEmbeddings:
        """The whole answer of `embed_sparse`."""
        return await self._line.answer(self._verbs.need(self._verbs.embed_sparse, "embed_sparse").call(inputs, options))

    def embed_multi(
        self,
        texts: str | Iterable[Input],
        *,
        kind: Kind = "document",
        normalize: bool = True,
        prompt: str | None = None,
        truncate: bool = True,
    ) -> list[npt.NDArray[np.float32]]:
        """Make several vectors of each text, for late interaction; a float32 array (vectors, dimensions) for each.

        ``kind`` says whether texts are queries or documents, which such models tell apart.
        """
        options = MultiOptions(kind=kind, normalize=normalize, prompt=prompt, truncate=truncate)
        verb, inputs = self._verbs.need(self._verbs.embed_multi, "embed_multi"), as_inputs(texts)
        return list(self._line.answer_now(verb.call(inputs, options)).vectors) if inputs else []

    async def aembed_multi(
        self,
        texts: str | Iterable[Input],
        *,
        kind: Kind = "document",
        normalize: bool = True,
        prompt: str | None = None,
        truncate: bool = True,
    ) -> list[npt.NDArray[np.float32]]:
        """`embed_multi` for event loops."""
        options = MultiOptions(kind=kind, normalize=normalize, prompt=prompt, truncate=truncate)
        inputs = as_inputs(texts)
        return list((await self.embed_multi_inputs(inputs, options)).vectors) if inputs else []

    async def embed_multi_inputs(self, inputs: Sequence[Input], options: MultiOptions) -> MultiEmbeddings:
        """The whole answer of `embed_multi`."""
        return await self._line.answer(self._verbs.need(self._verbs.embed_multi, "embed_multi").call(inputs, options))

    def embed_hybrid(
        self, texts: Sequence[Input], *, dimensions: int | None = None, normalize: bool = True, truncate: bool = True
    ) -> HybridEmbeddings:
        """Dense, sparse and multi-vector embeddings of at least one text, from one forward pass (bge-m3)."""
        options = EmbedOptions(dimensions=dimensions, normalize=normalize, truncate=truncate)
        verb = self._verbs.need(self._verbs.embed_hybrid, "embed_hybrid")
        return self._line.answer_now(verb.call(as_inputs(texts), options))

    async def aembed_hybrid(
        self, texts: Sequence[Input], *, dimensions: int | None = None, normalize: bool = True, truncate: bool = True
    ) -> HybridEmbeddings:
        """`embed_hybrid` for event loops."""
        options = EmbedOptions(dimensions=dimensions, normalize=normalize, truncate=truncate)
        return await self.embed_hybrid_inputs(as_inputs(texts), options)

    async def embed_hybrid_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> HybridEmbeddings:
        """`embed_hybrid` by its options."""
        return await self._line.answer(self._verbs.need(self._verbs.embed_hybrid, "embed_hybrid").call(inputs, options))

    def embed_tokens(
        self,
        texts: str | Iterable[Input],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate: bool = True,
    ) -> list[npt.NDArray[np.float32]]:
        """The states of each text's tokens, special tokens and prompts included, before any pooling.

        Arguments and errors as `embed`. Returns a float32 array (tokens, features) for each text, in order.
        """
        options = TextOptions(prompt=prompt, prompt_name=prompt_name, truncate=truncate)
        inputs = as_inputs(texts)
        return (
            list(
                self._line.answer_now(
                    self._verbs.need(self._verbs.embed_tokens, "embed_tokens").call(inputs, options)
                ).vectors
            )
            if inputs
            else []
        )

    async def aembed_tokens(
        self,
        texts: str | Iterable[Input],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate: bool = True,
    ) -> list[npt.NDArray[np.float32]]:
        """`embed_tokens` for event loops."""
        options = TextOptions(prompt=prompt, prompt_name=prompt_name, truncate=truncate)
        inputs = as_inputs(texts)
        return list((await self.embed_tokens_inputs(inputs, options)).vectors) if inputs else []

    async def embed_tokens_inputs(self, inputs: Sequence[Input], options: TextOptions) -> MultiEmbeddings:
        """The whole answer of `embed_tokens`, for servers."""
        return await self._line.answer(self._verbs.need(self._verbs.embed_tokens, "embed_tokens").call(inputs, options))
