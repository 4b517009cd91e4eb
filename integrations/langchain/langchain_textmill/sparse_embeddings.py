"""TextmillSparseEmbeddings: sparse vectors from a model in this process, with the verbs of langchain_qdrant's SparseEmbeddings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

import textmill
from langchain_textmill.loaded import Checked, windows
from langchain_textmill.options import held, load_options


class SparseVector(BaseModel):
    """The entries of the model's vocabulary that a text is about, and how much; as langchain_qdrant has it."""

    model_config = ConfigDict(extra="forbid")

    indices: list[int]
    values: list[float]


class TextmillSparseEmbeddings(Checked):
    """Sparse vectors, of a SPLADE model for example, for QdrantVectorStore's ``sparse_embedding``.

    Queries and documents are told apart, for models that treat them differently.

    Raises:
        pydantic.ValidationError: a field is unknown or wrong.
        textmill.TextmillError: as `textmill.load` for the model; as `textmill.Model.embed_sparse` for texts.

    """

    model_name: str = Field(default="naver/splade-v3", alias="model")
    """A folder, a hub id, or a name that an installed package carries."""
    cache_folder: str | None = None
    """Where models from the hub are kept; None is the hub's own cache."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """As those of `TextmillEmbeddings`."""
    top: int | None = Field(default=None, ge=1)
    """Keep that many of the largest values of a vector; None keeps all."""
    show_progress: bool = False
    """Show a bar while documents are embedded."""

    _client: textmill.Model = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        """Load the model, or take hold of it if it is loaded with the same options already."""
        super().__init__(**kwargs)
        options = load_options(self.model_kwargs, self.cache_folder, type(self).__name__)
        self._client = held(self.model_name, "sparse-encoder", {"task": "embed_sparse", **options})

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """A sparse vector for each document, in order."""
        made: list[SparseVector] = []
        for part in windows(texts, bar=self.show_progress):
            made += map(_vector, self._client.embed_sparse(part, kind="document", top=self.top))
        return made

    def embed_query(self, text: str) -> SparseVector:
        """The sparse vector of a query."""
        return _vector(self._client.embed_sparse([text], kind="query", top=self.top)[0])

    async def aembed_documents(self, texts: list[str]) -> list[SparseVector]:
        """`embed_documents` for event loops."""
        return list(map(_vector, await self._client.aembed_sparse(texts, kind="document", top=self.top)))

    async def aembed_query(self, text: str) -> SparseVector:
        """`embed_query` for event loops."""
        return _vector((await self._client.aembed_sparse([text], kind="query", top=self.top))[0])

    def close(self) -> None:
        """Let the model go; no more calls. It is unloaded when nothing in the process holds it any more."""
        self._client.close()


def _vector(given: Any) -> SparseVector:
    return SparseVector(indices=given.indices.tolist(), values=given.values.tolist())
