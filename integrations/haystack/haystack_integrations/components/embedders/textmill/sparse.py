"""Embedders of sparse vectors: of a text, and of documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from haystack import Document, component
from haystack.dataclasses import SparseEmbedding
from haystack.utils import ComponentDevice, Secret
from haystack_integrations.components.embedders.textmill.encoding import Kind, windows
from haystack_integrations.components.embedders.textmill.held import (
    HUB_TOKEN,
    Held,
    check_documents,
    check_text,
)

_MODEL = "prithivida/Splade_PP_en_v2"


class Sparse(Held):
    """What both embedders do."""

    task = "embed_sparse"
    organisation = "sparse-encoder"
    default_model = _MODEL
    kind: Kind

    def _embedded(self, texts: list[str]) -> list[SparseEmbedding]:
        self.warm_up()
        bar = self._arguments.get("progress_bar", False)
        return [
            _embedding(each)
            for part in windows(texts, bar=bar)
            for each in self._model.embed_sparse(part, kind=self.kind)
        ]

    async def _aembedded(self, texts: list[str]) -> list[SparseEmbedding]:
        await self.warm_up_async()
        return list(map(_embedding, await self._model.aembed_sparse(texts, kind=self.kind)))


def _embedding(vector: Any) -> SparseEmbedding:
    return SparseEmbedding(indices=vector.indices.tolist(), values=vector.values.tolist())


@component
class TextmillSparseTextEmbedder(Sparse):
    """Embeds a text, such as a query.

    It takes what ``SentenceTransformersSparseTextEmbedder`` takes; models that treat queries and documents differently do so.
    """

    kind = "query"

    def __init__(
        self,
        *,
        model: str = _MODEL,
        device: ComponentDevice | None = None,
        token: Secret | None = HUB_TOKEN,
        prefix: str = "",
        suffix: str = "",
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        revision: str | None = None,
    ) -> None:
        """Keep the arguments; nothing is loaded yet."""
        self._keep(locals())

    @component.output_types(sparse_embedding=SparseEmbedding)
    def run(self, text: str) -> dict[str, Any]:
        """The ``sparse_embedding`` of a text. Raises TypeError for anything else."""
        check_text(text, "TextmillSparseTextEmbedder", "TextmillSparseDocumentEmbedder")
        return {"sparse_embedding": self._embedded([self._text(text)])[0]}

    @component.output_types(sparse_embedding=SparseEmbedding)
    async def run_async(self, text: str) -> dict[str, Any]:
        """The ``sparse_embedding`` of a text. Raises TypeError for anything else."""
        check_text(text, "TextmillSparseTextEmbedder", "TextmillSparseDocumentEmbedder")
        return {"sparse_embedding": (await self._aembedded([self._text(text)]))[0]}


@component
class TextmillSparseDocumentEmbedder(Sparse):
    """Embeds documents.

    It takes what ``SentenceTransformersSparseDocumentEmbedder`` takes; models that treat queries and documents differently do so.
    """

    kind = "document"

    def __init__(
        self,
        *,
        model: str = _MODEL,
        device: ComponentDevice | None = None,
        token: Secret | None = HUB_TOKEN,
        prefix: str = "",
        suffix: str = "",
        batch_size: int = 32,
        progress_bar: bool = True,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        revision: str | None = None,
    ) -> None:
        """Keep the arguments; nothing is loaded yet."""
        self._keep(locals())

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Copies of the documents, with their ``sparse_embedding``. Raises TypeError for anything else."""
        check_documents(documents, "TextmillSparseDocumentEmbedder", "TextmillSparseTextEmbedder")
        vectors = self._embedded(self._texts(documents))
        return {
            "documents": [replace(each, sparse_embedding=row) for each, row in zip(documents, vectors, strict=True)]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Copies of the documents, with their ``sparse_embedding``. Raises TypeError for anything else."""
        check_documents(documents, "TextmillSparseDocumentEmbedder", "TextmillSparseTextEmbedder")
        vectors = await self._aembedded(self._texts(documents))
        return {
            "documents": [replace(each, sparse_embedding=row) for each, row in zip(documents, vectors, strict=True)]
        }
