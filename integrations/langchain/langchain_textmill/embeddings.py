"""TextmillEmbeddings: dense vectors from a model in this process, for code written against HuggingFaceEmbeddings."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr

import textmill
from langchain_textmill.encoding import Encoding, Policy
from langchain_textmill.loaded import Checked, windows
from langchain_textmill.options import load_options
from textmill.compat import log_prompt

_log = logging.getLogger("langchain_textmill")


class TextmillEmbeddings(Checked, Embeddings):
    """Dense vectors of a model that runs in this process.

    It takes what ``langchain_huggingface.HuggingFaceEmbeddings`` takes, and gives the same vectors under
    ``prompt_policy="langchain"``. As there, line breaks become spaces, and vectors have length one only where the model's own files
    say so or ``encode_kwargs`` has ``normalize_embeddings``.

    Raises:
        pydantic.ValidationError: a field is unknown or wrong.
        textmill.TextmillError: as `textmill.load` for the model; as `textmill.Model.embed` for texts.

    """

    model_name: str = Field(default="sentence-transformers/all-mpnet-base-v2", alias="model")
    """A folder, a hub id, or a name that an installed package carries."""
    cache_folder: str | None = None
    """Where models from the hub are kept; None is the hub's own cache."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Of sentence-transformers (``device``, ``prompts``, ``default_prompt_name``, ``revision``, ``truncate_dim``, ``model_kwargs`` with
    ``dtype`` or ``file_name`` …) and of `textmill.load` (``threads``, ``dtype`` …)."""
    encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """``prompt``, ``prompt_name``, ``normalize_embeddings``, ``truncate_dim``, ``precision``, ``task``; of documents, and of queries unless
    these have their own."""
    query_encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """As ``encode_kwargs``, for queries; where it is empty, those hold for queries too."""
    multi_process: bool = False
    """Without effect: a model uses all cores of the process anyway."""
    show_progress: bool = False
    """Show a bar while documents are embedded."""
    prompt_policy: Policy = "model"
    """What goes in front of texts where nothing else is said: "model" is the model's own prompt for queries and for documents, "langchain"
    is what HuggingFaceEmbeddings does: no prompt but the model's default."""

    _client: textmill.Model = PrivateAttr()
    _documents: Encoding = PrivateAttr()
    _queries: Encoding = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        """Load the model, or take hold of it if it is loaded with the same options already."""
        super().__init__(**kwargs)
        caller, own = type(self).__name__, dict(self.model_kwargs)
        prompts, cut = own.pop("prompts", None) or {}, own.pop("truncate_dim", None)
        default = own.get("default_prompt_name")
        if default in prompts:  # the model's files do not have it
            own["default_prompt"] = prompts[own.pop("default_prompt_name")]
        both = {"policy": self.prompt_policy, "prompts": prompts, "dimensions": cut}
        self._documents = Encoding(kind="document", **both).read(self.encode_kwargs, caller)
        self._queries = Encoding(kind="query", **both).read(self.query_encode_kwargs or self.encode_kwargs, caller)
        self._client = textmill.shared(self.model_name, **load_options(own, self.cache_folder, caller))
        for encoding in (self._queries, self._documents):
            log_prompt(_log, self._client, encoding.kind, encoding.asked(self._client.info))

    @property
    def namespace(self) -> str:
        """For CacheBackedEmbeddings: the same for documents' vectors that may be mixed, and no other."""
        return self._namespace(self._documents)

    @property
    def query_namespace(self) -> str:
        """As `namespace`, for the vectors of queries."""
        return self._namespace(self._queries)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each document, in order."""
        rows, info = _in_lines(texts), self._client.info
        parts = [
            self._client.embed(part, **self._documents.asked(info)) for part in windows(rows, bar=self.show_progress)
        ]
        return self._documents.made(np.concatenate(parts)) if parts else []

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        info = self._client.info
        return self._queries.made(self._client.embed(_in_lines([text]), **self._queries.asked(info)))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents` for event loops: no thread is blocked, and cancelling it withdraws what has not started."""
        info = self._client.info
        vectors = await self._client.aembed(_in_lines(texts), **self._documents.asked(info))
        return self._documents.made(vectors)

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` for event loops."""
        info = self._client.info
        vectors = await self._client.aembed(_in_lines([text]), **self._queries.asked(info))
        return self._queries.made(vectors)[0]

    def close(self) -> None:
        """Let the model go; no more calls. It is unloaded when nothing in the process holds it any more."""
        self._client.close()

    def _namespace(self, encoding: Encoding) -> str:
        own = hashlib.sha256(encoding.identity().encode()).hexdigest()[:16]
        return f"textmill-{self._client.info.fingerprint}-{own}"


def _in_lines(texts: list[str]) -> list[str]:
    """Each text on one line, as HuggingFaceEmbeddings has them."""
    return [text.replace("\n", " ") for text in texts]
