"""TextmillServerEmbeddings: dense vectors from a textmill server."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr, SecretStr

import textmill
from langchain_textmill.loaded import Checked, windows


class TextmillServerEmbeddings(Checked, Embeddings):
    """Dense vectors of a model on a textmill server, of length one.

    Texts are sent as they are, with the side of the search that they are on, so that the server puts the model's own prompt for
    queries or for documents in front. A busy server is asked again, after as long as its Retry-After says.

    Raises:
        pydantic.ValidationError: a field is unknown or wrong.
        textmill.TextmillError: as `textmill.connect` and its verbs.

    """

    url: str = Field(alias="base_url")
    """Of the server, with or without ``/v1``."""
    model_name: str | None = Field(default=None, alias="model")
    """One of the server's names for models; None is its default."""
    api_key: SecretStr | None = None
    """Sent as a bearer token."""
    dimensions: int | None = Field(default=None, ge=1)
    """Keep that many leading values, for models that are made for it."""
    query_prompt: str | None = None
    """In front of queries, in place of the model's own prompt; an empty one is none."""
    document_prompt: str | None = None
    """As ``query_prompt``, for documents."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for each step of a request."""
    max_retries: int = Field(default=4, ge=0)
    """How often a request is sent anew that the server was too busy for."""
    show_progress: bool = False
    """Show a bar while documents are embedded."""

    _client: Any = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        """Nothing is sent yet."""
        super().__init__(**kwargs)
        key = None if self.api_key is None else self.api_key.get_secret_value()
        self._client = textmill.connect(
            self.url, self.model_name, api_key=key, timeout_s=self.timeout, retries=self.max_retries
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each document, in order."""
        vectors: list[list[float]] = []
        for part in windows(texts, bar=self.show_progress):
            vectors += self._client.embed(part, **self._asked("document", self.document_prompt)).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        return cast("list[float]", self._client.embed([text], **self._asked("query", self.query_prompt))[0].tolist())

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents` for event loops."""
        vectors = await self._client.aembed(texts, **self._asked("document", self.document_prompt))
        return cast("list[list[float]]", vectors.tolist())

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` for event loops."""
        vectors = await self._client.aembed([text], **self._asked("query", self.query_prompt))
        return cast("list[float]", vectors[0].tolist())

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()

    def _asked(self, kind: str, prompt: str | None) -> dict[str, Any]:
        said = {"kind": kind} if prompt is None else {"prompt": prompt}
        return said if self.dimensions is None else {**said, "dimensions": self.dimensions}
