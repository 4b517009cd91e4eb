"""TextmillServerEmbedding: the embeddings of a textmill server, which learns which texts are queries and which documents."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, SecretStr
from llama_index.embeddings.textmill.arguments import known
from llama_index.embeddings.textmill.connection import DEFAULT_URL, connected, key_of, root_of
from llama_index.embeddings.textmill.instructions import Side
from llama_index.embeddings.textmill.pickles import restore, state_of
from llama_index.embeddings.textmill.sides import BySide

_TEXTS_A_REQUEST = 512


class TextmillServerEmbedding(BySide):
    """Embeds by ``POST {base_url}/v1/embeddings``.

    Without a ``model_name`` the server's default model answers. The server puts the model's own prompts before queries and
    documents, unless ``query_instruction`` or ``text_instruction`` is given (an empty one is none). The key comes from
    ``api_key`` or else from the variable TEXTMILL_API_KEY; neither it nor ``headers`` are part of what `to_dict` gives.

    Of HuggingFaceEmbedding's arguments, ``truncate_dim`` means ``dimensions``, and vectors are scaled to unit length. How the model is
    loaded is the server's matter: a warning names arguments that have no effect.

    Its methods raise `textmill.TextmillError`: InvalidInput, ModelNotFound, ConfigInvalid for a key that is refused,
    Overloaded and Unavailable once ``max_retries`` more attempts have failed too, ForwardFailed for an answer of another form.
    """

    model_name: str = Field(default="", description="A name of the server's models; empty means its default.")
    base_url: str = Field(default=DEFAULT_URL, description="The server's address, with or without /v1.")
    embed_batch_size: int = Field(default=_TEXTS_A_REQUEST, description="Texts in a request.", gt=0, le=2048)
    api_key: SecretStr | None = Field(default=None, description="The server's API key.", exclude=True)
    headers: dict[str, str] | None = Field(default=None, description="Further headers.", exclude=True, repr=False)
    dimensions: int | None = Field(default=None, description="Keep that many values, then normalise.", gt=0)
    query_instruction: str | None = Field(default=None, description="Put before queries; an empty one is none.")
    text_instruction: str | None = Field(default=None, description="Put before texts; an empty one is none.")
    timeout: float = Field(default=60.0, description="Seconds for each attempt.", gt=0)
    max_retries: int = Field(default=5, description="Further attempts where the server is busy or not reached.", ge=0)
    embeddings_cache: Any | None = Field(default=None, description="Cache for the embeddings.", exclude=True)

    _client: Any = PrivateAttr()

    def __init__(self, model_name: str | None = None, base_url: str | None = None, **kwargs: Any) -> None:
        key = key_of(kwargs.pop("api_key", None))
        cut = kwargs.pop("truncate_dim", None)
        if kwargs.get("normalize") is True:  # they are anyway
            del kwargs["normalize"]
        asked = {name: value for name, value in kwargs.items() if value is not None}
        fields = known(asked, type(self).model_fields, type(self).__name__, level=2)
        fields.setdefault("dimensions", cut)
        fields |= {"model_name": model_name or "", "base_url": root_of(base_url or DEFAULT_URL), "api_key": key}
        super().__init__(**fields)
        self._client = connected(
            self.base_url,
            self.model_name,
            key,
            timeout=self.timeout,
            max_retries=self.max_retries,
            headers=self.headers,
        )

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillServerEmbedding"

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()

    async def aclose(self) -> None:
        """`close`; what an event loop has opened is closed with each call."""
        self.close()

    def _asked(self, side: Side) -> dict[str, Any]:
        instruction = self.query_instruction if side == "query" else self.text_instruction
        role = {"kind": side} if instruction is None else {"prompt": instruction}
        return {**role, "dimensions": self.dimensions}

    def _embed(self, texts: list[str], side: Side) -> list[Embedding]:
        vectors: list[Embedding] = self._client.embed(texts, **self._asked(side)).tolist()
        return vectors

    async def _aembed(self, texts: list[str], side: Side) -> list[Embedding]:
        vectors: list[Embedding] = (await self._client.aembed(texts, **self._asked(side))).tolist()
        return vectors

    def __getstate__(self) -> dict[str, Any]:
        """The arguments without secrets: a key comes from the environment where they are unpickled."""
        return state_of(self, TextmillServerEmbedding, _NOT_PICKLED)

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, TextmillServerEmbedding, state)


_NOT_PICKLED = ("callback_manager", "rate_limiter", "api_key", "headers")
