"""TextmillSparseEmbedding: weights of the vocabulary's entries, from a model in the process or on a textmill server."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import Field, SecretStr
from llama_index.embeddings.textmill.arguments import known, without_secrets
from llama_index.embeddings.textmill.connection import connected, key_of
from llama_index.embeddings.textmill.engines import held
from llama_index.embeddings.textmill.instructions import Side
from llama_index.embeddings.textmill.pickles import Reopened

from textmill.compat import full_name

_OF_FASTEMBED = {"max_length": "max_seq_length", "cache_dir": "cache_dir", "threads": "threads"}
"""Arguments of FastEmbedSparseEmbedding by the names that `textmill.load` has for them."""


class TextmillSparseEmbedding(Reopened, BaseSparseEmbedding):
    """Embeds sparsely, with a model such as SPLADE: a dict of weights by index.

    With a ``base_url`` the model of that name on the server answers (`POST /embed_sparse`), else it is loaded, or shared, in the
    process, with ``load_kwargs`` as further keywords of `textmill.load`; ``max_length``, ``cache_dir`` and ``threads``, as
    FastEmbedSparseEmbedding has them, are some of these. ``top`` keeps that many of the largest weights.
    Raises what `textmill.load` and `textmill.Model.embed_sparse` raise.
    """

    base_url: str | None = Field(default=None, description="The server's address; None for a model in the process.")
    api_key: SecretStr | None = Field(default=None, description="The server's API key.", exclude=True)
    embed_batch_size: int = Field(default=256, description="Texts in a call.", gt=0, le=2048)
    top: int | None = Field(default=None, description="Keep that many of the largest weights.", gt=0)
    timeout: float = Field(default=60.0, description="Seconds for each attempt.", gt=0)
    max_retries: int = Field(default=5, description="Further attempts where the server is busy or not reached.", ge=0)
    load_kwargs: dict[str, Any] = Field(default_factory=dict, description="Keywords of textmill.load.")

    def __init__(self, model_name: str, base_url: str | None = None, **kwargs: Any) -> None:
        own = (
            {}
            if base_url is not None
            else {_OF_FASTEMBED[name]: kwargs.pop(name) for name in _OF_FASTEMBED if name in kwargs}
        )
        kwargs["load_kwargs"], token = without_secrets(own | (kwargs.get("load_kwargs") or {}))
        key = key_of(kwargs.pop("api_key", None)) if base_url is not None else None
        fields = known(kwargs, type(self).model_fields, type(self).__name__, level=2)
        fields |= {"model_name": str(model_name), "base_url": base_url, "api_key": key}
        super().__init__(**fields)
        if base_url is None:
            self._client = held(
                full_name(self.model_name, "sparse-encoder"), {"task": "embed_sparse"} | self.load_kwargs, token
            )
        else:
            self._client = connected(base_url, self.model_name, key, timeout=self.timeout, max_retries=self.max_retries)

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillSparseEmbedding"

    def _embed(self, texts: list[str], side: Side) -> list[SparseEmbedding]:
        return list(map(_weights, self._client.embed_sparse(texts, kind=side, top=self.top)))

    async def _aembed(self, texts: list[str], side: Side) -> list[SparseEmbedding]:
        return list(map(_weights, await self._client.aembed_sparse(texts, kind=side, top=self.top)))

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return (await self._aembed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._embed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return (await self._aembed([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return self._embed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return await self._aembed(texts, "document")


def _weights(row: Any) -> SparseEmbedding:
    return dict(zip(row.indices.tolist(), row.values.tolist(), strict=True))
