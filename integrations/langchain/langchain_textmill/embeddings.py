"""TextmillEmbeddings: dense vectors from a model in this process, for code written against HuggingFaceEmbeddings."""

from __future__ import annotations

import hashlib
import logging
import warnings
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from pydantic import Field, PrivateAttr

import textmill
from langchain_textmill.encoding import Encoding, Kind, Policy, unknown
from langchain_textmill.loaded import Checked, windows
from langchain_textmill.options import held, load_options
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
    """A folder, a hub id, which is one of sentence-transformers' where it has no owner, or a name that an installed package carries."""
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

    def __init__(self, **kwargs: Any) -> None:
        """Load the model, or take hold of it if it is loaded with the same options already."""
        super().__init__(**kwargs)
        caller, prompts = type(self).__name__, self.model_kwargs.get("prompts") or {}
        own = {name: value for name, value in self.model_kwargs.items() if name not in ("prompts", "truncate_dim")}
        default = own.get("default_prompt_name")
        if default in prompts:  # the model's files do not have it
            own["default_prompt"] = prompts[own.pop("default_prompt_name")]
        both = (self._queries, self._documents)
        for each in unknown({**self.encode_kwargs, **self.query_encode_kwargs}):
            warnings.warn(f"{caller} does nothing with {each!r} of encode_kwargs", UserWarning, stacklevel=2)
        self._client = held(self.model_name, "sentence-transformers", load_options(own, self.cache_folder, caller))
        for encoding in both:
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
        rows, encoding = _in_lines(texts), self._documents
        how = encoding.asked(self._client.info)
        parts = [self._client.embed(part, **how) for part in windows(rows, bar=self.show_progress)]
        return encoding.made(np.concatenate(parts)) if parts else []

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        encoding = self._queries
        return encoding.made(self._client.embed(_in_lines([text]), **encoding.asked(self._client.info)))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents` for event loops: no thread is blocked, and cancelling it withdraws what has not started."""
        encoding = self._documents
        return encoding.made(await self._client.aembed(_in_lines(texts), **encoding.asked(self._client.info)))

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` for event loops."""
        encoding = self._queries
        return encoding.made(await self._client.aembed(_in_lines([text]), **encoding.asked(self._client.info)))[0]

    def close(self) -> None:
        """Let the model go; no more calls. It is unloaded when nothing in the process holds it any more."""
        self._client.close()

    @property
    def _documents(self) -> Encoding:
        return self._encoding("document", self.encode_kwargs)

    @property
    def _queries(self) -> Encoding:
        return self._encoding("query", self.query_encode_kwargs or self.encode_kwargs)

    def _encoding(self, kind: Kind, keywords: dict[str, Any]) -> Encoding:
        """How texts of that side are encoded, by the fields as they are now."""
        prompts, cut = self.model_kwargs.get("prompts") or {}, self.model_kwargs.get("truncate_dim")
        return Encoding(kind=kind, policy=self.prompt_policy, prompts=prompts, dimensions=cut).read(keywords)

    def _namespace(self, encoding: Encoding) -> str:
        own = hashlib.sha256(encoding.identity().encode()).hexdigest()[:16]
        return f"textmill-{self._client.info.fingerprint}-{own}"


def _in_lines(texts: list[str]) -> list[str]:
    """Each text on one line, as HuggingFaceEmbeddings has them."""
    return [text.replace("\n", " ") if isinstance(text, str) else text for text in texts]
