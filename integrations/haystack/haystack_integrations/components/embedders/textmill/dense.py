"""Embedders of dense vectors: of a text, and of documents."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from haystack import Document, component
from haystack.utils import ComponentDevice, Secret
from haystack_integrations.components.embedders.textmill.encoding import (
    Kind,
    Policy,
    asked,
    made,
    windows,
)
from haystack_integrations.components.embedders.textmill.held import (
    HUB_TOKEN,
    Held,
    check_documents,
    check_text,
)

from textmill.compat import Precision, log_prompt

_log = logging.getLogger("textmill_haystack")
_MODEL = "sentence-transformers/all-mpnet-base-v2"


class Dense(Held):
    """What both embedders do."""

    task = "embed"
    default_model = _MODEL
    kind: Kind

    def _opened(self) -> Any:
        model = super()._opened()
        if hasattr(model, "info"):  # what a server puts there is its own
            log_prompt(_log, model, self.kind, self._asked(model))
        return model

    def _asked(self, model: Any) -> dict[str, Any]:
        return asked(self._arguments, self.kind, getattr(model, "info", None))

    def _embedded(self, texts: list[str]) -> list[list[float]]:
        self.warm_up()
        model = self._model
        said = self._asked(model)
        bar = self._arguments["progress_bar"] and len(texts) > 1
        parts = [model.embed(part, **said) for part in windows(texts, bar=bar)]
        return made(np.concatenate(parts), self._arguments)

    async def _aembedded(self, texts: list[str]) -> list[list[float]]:
        await self.warm_up_async()
        return made(await self._model.aembed(texts, **self._asked(self._model)), self._arguments)


@component
class TextmillTextEmbedder(Dense):
    """Embeds a text, such as a query.

    It takes what ``SentenceTransformersTextEmbedder`` takes. ``batch_size``, ``backend``, ``trust_remote_code`` and ``config_kwargs`` have no
    effect: batches are made by tokens, the engine is textmill's own unless ``model_kwargs`` has a ``file_name``, no code of a repository runs.

    ``prompt_policy`` "model" puts the model's own prompt for queries in front of them where neither ``prefix`` nor ``encode_kwargs``
    say another; "haystack" puts none but the model's default. With ``url`` a textmill server embeds, by its ``model`` of that name or its
    default one, with ``api_key``; vectors have length one then.
    """

    kind = "query"

    def __init__(
        self,
        *,
        model: str | None = None,
        device: ComponentDevice | None = None,
        token: Secret | None = HUB_TOKEN,
        prefix: str = "",
        suffix: str = "",
        batch_size: int = 32,
        progress_bar: bool = True,
        normalize_embeddings: bool = False,
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        truncate_dim: int | None = None,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        precision: Precision = "float32",
        encode_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        revision: str | None = None,
        quantization_ranges: list[list[float]] | None = None,
        prompt_policy: Policy = "model",
        url: str | None = None,
        api_key: Secret | None = None,
    ) -> None:
        """Keep the arguments; nothing is loaded yet."""
        self._keep(locals())

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """The ``embedding`` of a text. Raises TypeError for anything else."""
        check_text(text, "TextmillTextEmbedder", "TextmillDocumentEmbedder")
        return {"embedding": self._embedded([self._text(text)])[0]}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        """The ``embedding`` of a text. Raises TypeError for anything else."""
        check_text(text, "TextmillTextEmbedder", "TextmillDocumentEmbedder")
        return {"embedding": (await self._aembedded([self._text(text)]))[0]}


@component
class TextmillDocumentEmbedder(Dense):
    """Embeds documents.

    It takes what ``SentenceTransformersDocumentEmbedder`` takes. ``batch_size``, ``backend``, ``trust_remote_code`` and ``config_kwargs`` have no
    effect: batches are made by tokens, the engine is textmill's own unless ``model_kwargs`` has a ``file_name``, no code of a repository runs.

    ``prompt_policy`` "model" puts the model's own prompt for documents in front of them where neither ``prefix`` nor ``encode_kwargs``
    say another; "haystack" puts none but the model's default. With ``url`` a textmill server embeds, by its ``model`` of that name or its
    default one, with ``api_key``; vectors have length one then.
    """

    kind = "document"

    def __init__(
        self,
        *,
        model: str | None = None,
        device: ComponentDevice | None = None,
        token: Secret | None = HUB_TOKEN,
        prefix: str = "",
        suffix: str = "",
        batch_size: int = 32,
        progress_bar: bool = True,
        normalize_embeddings: bool = False,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        trust_remote_code: bool = False,
        local_files_only: bool = False,
        truncate_dim: int | None = None,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        precision: Precision = "float32",
        encode_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        revision: str | None = None,
        quantization_ranges: list[list[float]] | None = None,
        prompt_policy: Policy = "model",
        url: str | None = None,
        api_key: Secret | None = None,
    ) -> None:
        """Keep the arguments; nothing is loaded yet."""
        self._keep(locals())

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Copies of the documents, with their ``embedding``. Raises TypeError for anything else."""
        check_documents(documents, "TextmillDocumentEmbedder", "TextmillTextEmbedder")
        vectors = self._embedded(self._texts(documents))
        return {"documents": [replace(each, embedding=row) for each, row in zip(documents, vectors, strict=True)]}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Copies of the documents, with their ``embedding``. Raises TypeError for anything else."""
        check_documents(documents, "TextmillDocumentEmbedder", "TextmillTextEmbedder")
        vectors = await self._aembedded(self._texts(documents))
        return {"documents": [replace(each, embedding=row) for each, row in zip(documents, vectors, strict=True)]}
