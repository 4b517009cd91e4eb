"""What ranks: a model in the process, or a model on a textmill server."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from llama_index.embeddings.textmill.connection import Connection

import textmill

Best: TypeAlias = list[tuple[int, float]]
"""Places among the texts with scores, best first."""


class Ranks(Protocol):
    """Ranks texts by their relevance to a query, and gives the ``top`` best. Raises `textmill.TextmillError`."""

    def rank(self, query: str, texts: list[str], top: int) -> Best:
        """Rank; blocks."""
        ...

    async def arank(self, query: str, texts: list[str], top: int) -> Best:
        """`rank` for event loops."""
        ...


class LocalRanker:
    """Ranks with a loaded model."""

    def __init__(self, model: textmill.Model) -> None:
        self._model = model

    def rank(self, query: str, texts: list[str], top: int) -> Best:
        """See `Ranks`."""
        return [(each.index, each.score) for each in self._model.rerank(query, texts, top=top)]

    async def arank(self, query: str, texts: list[str], top: int) -> Best:
        """See `Ranks`."""
        return [(each.index, each.score) for each in await self._model.arerank(query, texts, top=top)]


class ServerRanker:
    """Ranks by ``POST /v1/rerank``; an empty name means the server's default model."""

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._named = {"model": model} if model else {}

    def rank(self, query: str, texts: list[str], top: int) -> Best:
        """See `Ranks`."""
        return _ranked(self._connection.post("/v1/rerank", self._body(query, texts, top)))

    async def arank(self, query: str, texts: list[str], top: int) -> Best:
        """See `Ranks`."""
        return _ranked(await self._connection.apost("/v1/rerank", self._body(query, texts, top)))

    def _body(self, query: str, texts: list[str], top: int) -> dict[str, Any]:
        return {"query": query, "documents": texts, "top_n": top, "return_documents": False} | self._named


def _ranked(answer: Any) -> Best:
    """Places and scores of an answer. Raises Unavailable for an answer of another form."""
    try:
        return [(int(result["index"]), float(result["relevance_score"])) for result in answer["results"]]
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the server's answer is not one of /v1/rerank: {error!r}"
        raise textmill.Unavailable(msg) from error
