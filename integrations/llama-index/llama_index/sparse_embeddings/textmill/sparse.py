"""TextmillSparseEmbedding: weights of the vocabulary's entries, from a model in the process or on a textmill server."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, SecretStr
from llama_index.embeddings.textmill.arguments import without_secrets
from llama_index.embeddings.textmill.connection import Connection, key_of
from llama_index.embeddings.textmill.engines import held
from llama_index.sparse_embeddings.textmill.encoders import Encodes, LocalEncoder, ServerEncoder


class TextmillSparseEmbedding(BaseSparseEmbedding):
    """Embeds sparsely, with a model such as SPLADE: a dict of weights by index.

    With a ``base_url`` the model of that name on the server answers (`POST /embed_sparse`), else it is loaded, or shared, in the
    process, with ``load_kwargs`` as further keywords of `textmill.load`. ``top`` keeps that many of the largest weights.
    Raises what `textmill.load` and `textmill.Model.embed_sparse` raise.
    """

    base_url: str | None = Field(default=None, description="The server's address; None for a model in the process.")
    api_key: SecretStr | None = Field(default=None, description="The server's API key.", exclude=True)
    embed_batch_size: int = Field(default=256, description="Texts in a call.", gt=0, le=2048)
    top: int | None = Field(default=None, description="Keep that many of the largest weights.", gt=0)
    timeout: float = Field(default=60.0, description="Seconds for each attempt.", gt=0)
    max_retries: int = Field(default=5, description="Further attempts where the server is busy or not reached.", ge=0)
    load_kwargs: dict[str, Any] = Field(default_factory=dict, description="Keywords of textmill.load.")

    _encoder: Encodes = PrivateAttr()
    _connection: Connection | None = PrivateAttr(default=None)

    def __init__(self, model_name: str, base_url: str | None = None, **kwargs: Any) -> None:
        kwargs["load_kwargs"], token = without_secrets(kwargs.get("load_kwargs"))
        key = key_of(kwargs.pop("api_key", None)) if base_url is not None else None
        fields: dict[str, Any] = kwargs | {"model_name": model_name, "base_url": base_url, "api_key": key}
        super().__init__(**fields)
        if base_url is None:
            model = held(model_name, {"task": "embed_sparse"} | self.load_kwargs, token)
            self._encoder = LocalEncoder(model)
        else:
            connection = Connection(base_url, key, timeout=self.timeout, max_retries=self.max_retries)
            self._encoder, self._connection = ServerEncoder(connection, model_name), connection

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillSparseEmbedding"

    async def aclose(self) -> None:
        """Close the connections to a server that this event loop has used."""
        if self._connection is not None:
            await self._connection.aclose()

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._encoder.encode([query], "query", self.top)[0]

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return (await self._encoder.aencode([query], "query", self.top))[0]

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._encoder.encode([text], "document", self.top)[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return (await self._encoder.aencode([text], "document", self.top))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return self._encoder.encode(texts, "document", self.top)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return await self._encoder.aencode(texts, "document", self.top)
