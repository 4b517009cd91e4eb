"""TextmillRanker: documents in the order of their relevance to a query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from haystack import Document, component
from haystack.utils import ComponentDevice, Secret
from haystack_integrations.components.embedders.textmill.held import HUB_TOKEN, Held, check_documents, texts_of

_MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"


@component
class TextmillRanker(Held):
    """Ranks documents by a model that scores a query and a document together.

    It takes what ``SentenceTransformersSimilarityRanker`` takes; ``batch_size``, ``backend``, ``trust_remote_code`` and ``config_kwargs``
    have no effect. With ``url`` a textmill server ranks, by its ``model`` of that name or its default one, with ``api_key``, and by
    scores between 0 and 1.
    """

    task = "rerank"
    organisation = "cross-encoder"
    default_model = _MODEL

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        device: ComponentDevice | None = None,
        token: Secret | None = HUB_TOKEN,
        top_k: int = 10,
        query_prefix: str = "",
        query_suffix: str = "",
        document_prefix: str = "",
        document_suffix: str = "",
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        scale_score: bool = True,
        score_threshold: float | None = None,
        trust_remote_code: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        backend: Literal["torch", "onnx", "openvino"] = "torch",
        batch_size: int = 16,
        url: str | None = None,
        api_key: Secret | None = None,
    ) -> None:
        """Keep the arguments; nothing is loaded yet. Raises ValueError for a ``top_k`` below 1."""
        _check_top(top_k)
        self._keep({**locals(), "model": None if model is None else str(model)})

    @component.output_types(documents=list[Document])
    def run(
        self,
        *,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, list[Document]]:
        """Copies of the best ``documents`` with their ``score``, best first; of those with the same id one is ranked.

        Raises TypeError for inputs of other kinds, ValueError for a ``top_k`` below 1.
        """
        unique, texts = self._inputs(query, documents, top_k)
        if not texts:
            return {"documents": []}
        self.warm_up()
        ranked = self._model.rerank(self._query(query), texts, scoring=self._scoring(scale=scale_score))
        return {"documents": self._kept(unique, ranked, top_k, score_threshold)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        *,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, list[Document]]:
        """`run` for event loops."""
        unique, texts = self._inputs(query, documents, top_k)
        if not texts:
            return {"documents": []}
        await self.warm_up_async()
        ranked = await self._model.arerank(self._query(query), texts, scoring=self._scoring(scale=scale_score))
        return {"documents": self._kept(unique, ranked, top_k, score_threshold)}

    def _inputs(self, query: str, documents: list[Document], top_k: int | None) -> tuple[list[Document], list[str]]:
        check_documents(documents, "TextmillRanker", "TextmillTextEmbedder")
        if not isinstance(query, str):
            msg = "TextmillRanker takes a text as query"
            raise TypeError(msg)
        if top_k is not None:
            _check_top(top_k)
        given = self._arguments
        best: dict[str, Document] = {}
        for each in documents:
            known = best.get(each.id)
            if known is None or (each.score is not None and (known.score is None or each.score > known.score)):
                best[each.id] = each
        unique = list(best.values())
        fields = given["meta_fields_to_embed"] or []
        ends = given["document_prefix"], given["document_suffix"]
        return unique, texts_of(unique, fields, given["embedding_separator"], *ends)

    def _query(self, query: str) -> str:
        return str(self._arguments["query_prefix"]) + query + str(self._arguments["query_suffix"])

    def _scoring(self, *, scale: bool | None) -> Literal["sigmoid", "raw"]:
        chosen = self._arguments["scale_score"] if scale is None else scale
        return "sigmoid" if chosen else "raw"

    def _kept(
        self, documents: list[Document], ranked: Any, top_k: int | None, threshold: float | None
    ) -> list[Document]:
        least = self._arguments["score_threshold"] if threshold is None else threshold
        scored = [replace(documents[each.index], score=each.score) for each in ranked]
        return [each for each in scored if least is None or (each.score or 0.0) >= least][
            : top_k or self._arguments["top_k"]
        ]


def _check_top(top_k: int) -> None:
    if top_k <= 0:
        msg = f"top_k is {top_k}; it must be at least 1"
        raise ValueError(msg)
