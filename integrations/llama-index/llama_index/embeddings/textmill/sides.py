"""What both embeddings have in common: LlamaIndex's methods for queries and for texts, as two for either side."""

from __future__ import annotations

from abc import abstractmethod

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.embeddings.textmill.instructions import Side


class BySide(BaseEmbedding):
    """Embeds texts of a side, in this thread or for an event loop."""

    @abstractmethod
    def _embed(self, texts: list[str], side: Side) -> list[Embedding]: ...

    @abstractmethod
    async def _aembed(self, texts: list[str], side: Side) -> list[Embedding]: ...

    def get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        """`get_text_embedding_batch`, by the name that LlamaIndex's pages have for it."""
        return self.get_text_embedding_batch(texts)

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return (await self._aembed([query], "query"))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embed([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aembed([text], "document"))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._aembed(texts, "document")
