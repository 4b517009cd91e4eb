"""TextmillRerank: documents in the order of their relevance, by a model in this process or on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, PrivateAttr, SecretStr, model_validator

import textmill
from langchain_textmill.loaded import Checked
from langchain_textmill.options import held, load_options

_MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"


class TextmillRerank(Checked, BaseDocumentCompressor):
    """Keeps the ``top_n`` documents that are most relevant to a query, best first.

    Each document that is kept is a copy whose metadata has its ``relevance_score``, as LangChain's other rerankers have it.

    Raises:
        pydantic.ValidationError: a field is unknown or wrong.
        textmill.TextmillError: as `textmill.load` or `textmill.connect` for the model; as their verbs for texts.

    """

    model_name: str | None = Field(default=None, alias="model")
    """A folder, a hub id or a packaged name, by default a small cross-encoder; with ``url`` one of the server's names, or its default."""
    top_n: int | None = Field(default=3, ge=1)
    """How many documents are kept; None for all."""
    scoring: Literal["sigmoid", "raw"] = "sigmoid"
    """Scores between 0 and 1, or the model's own; a server gives the former."""
    cache_folder: str | None = None
    """Where models from the hub are kept; None is the hub's own cache."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """As those of `TextmillEmbeddings`; not with ``url``."""
    url: str | None = None
    """Of a textmill server that has the model; None runs it in this process."""
    api_key: SecretStr | None = None
    """Sent to the server as a bearer token."""

    _client: Any = PrivateAttr()

    @model_validator(mode="after")
    def _one_place(self) -> TextmillRerank:
        if self.url is not None and (self.model_kwargs or self.cache_folder):
            msg = "model_kwargs and cache_folder are for models in this process, and url names a server"
            raise ValueError(msg)
        if self.url is not None and self.scoring == "raw":
            msg = "scoring is 'raw', and a server scores between 0 and 1"
            raise ValueError(msg)
        return self

    def __init__(self, **kwargs: Any) -> None:
        """Load the model, unless a server has it."""
        super().__init__(**kwargs)
        if self.url is None:
            options = load_options(self.model_kwargs, self.cache_folder, type(self).__name__)
            self._client = held(self.model_name or _MODEL, "cross-encoder", {"task": "rerank", **options})
        else:
            key = None if self.api_key is None else self.api_key.get_secret_value()
            self._client = textmill.connect(self.url, self.model_name, api_key=key)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents that are kept, best first."""
        del callbacks
        texts = [document.page_content for document in documents]
        return _scored(documents, self._client.rerank(query, texts, top=self.top_n, scoring=self.scoring))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents` for event loops."""
        del callbacks
        texts = [document.page_content for document in documents]
        return _scored(documents, await self._client.arerank(query, texts, top=self.top_n, scoring=self.scoring))

    def close(self) -> None:
        """Let the model go; no more calls. It is unloaded when nothing in the process holds it any more."""
        self._client.close()


def _scored(documents: Sequence[Document], ranked: Sequence[Any]) -> list[Document]:
    """Copies of the documents that are ranked, with their scores."""
    return [
        documents[each.index].model_copy(
            update={"metadata": {**documents[each.index].metadata, "relevance_score": each.score}}
        )
        for each in ranked
    ]
