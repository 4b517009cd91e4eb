"""What embeds sparsely: a model in the process, or a model on a textmill server."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

from llama_index.core.base.embeddings.base_sparse import SparseEmbedding
from llama_index.embeddings.textmill.connection import Connection

import textmill

Side: TypeAlias = Literal["query", "document"]


class Encodes(Protocol):
    """Gives for each text weights by index, the ``top`` largest where that is a number. Raises `textmill.TextmillError`."""

    def encode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """Embed; blocks."""
        ...

    async def aencode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """`encode` for event loops."""
        ...


class LocalEncoder:
    """Embeds with a loaded model."""

    def __init__(self, model: textmill.Model) -> None:
        self._model = model

    def encode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """See `Encodes`."""
        return [_weights(row) for row in self._model.embed_sparse(texts, kind=side, top=top)]

    async def aencode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """See `Encodes`."""
        return [_weights(row) for row in await self._model.aembed_sparse(texts, kind=side, top=top)]


class ServerEncoder:
    """Embeds by ``POST /embed_sparse``, with which a server does not learn the side; an empty name means its default model."""

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._named = {"model": model} if model else {}

    def encode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """See `Encodes`."""
        del side
        return _rows(self._connection.post("/embed_sparse", {"inputs": texts, "truncate": True} | self._named), top)

    async def aencode(self, texts: list[str], side: Side, top: int | None) -> list[SparseEmbedding]:
        """See `Encodes`."""
        del side
        body = {"inputs": texts, "truncate": True} | self._named
        return _rows(await self._connection.apost("/embed_sparse", body), top)


def _weights(row: Any) -> SparseEmbedding:
    return dict(zip(row.indices.tolist(), row.values.tolist(), strict=True))


def _rows(answer: Any, top: int | None) -> list[SparseEmbedding]:
    """Weights from TEI's form, which has a list of objects with ``index`` and ``value`` for each text. Raises Unavailable for another."""
    try:
        rows = [{int(item["index"]): float(item["value"]) for item in row} for row in answer]
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the server's answer is not one of /embed_sparse: {error!r}"
        raise textmill.Unavailable(msg) from error
    return rows if top is None else [dict(sorted(row.items(), key=lambda item: -item[1])[:top]) for row in rows]
