"""What both encoders have in common: the two sides of a search, and how alike vectors are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmill.compat.loaded import Loaded
from textmill.compat.similarity import MEASURES, compare, compare_pairs, measure_name
from textmill.compat.tensors import Array, Tensor


class Encoder(Loaded):
    """A model that makes vectors, which can be compared."""

    placeholders = ("query", "document")
    measure = "cosine"
    """How vectors are compared where neither the caller nor the model's files say."""

    def __init__(self, name: str | Path | None, keywords: Mapping[str, Any]) -> None:
        own = dict(keywords)
        measure = own.pop("similarity_fn_name", None)
        super().__init__(name, own)
        stored = self._settings.get("similarity_fn_name", str, "")
        self.similarity_fn_name = measure or (stored if stored in MEASURES else None)

    @abstractmethod
    def encode(
        self, inputs: Any = None, prompt_name: str | None = None, prompt: str | None = None, *rest: Any, **keywords: Any
    ) -> Any:
        """The vectors of texts."""

    @abstractmethod
    def get_embedding_dimension(self) -> int:
        """How many values a vector has."""

    def encode_query(
        self, inputs: Any = None, prompt_name: str | None = None, prompt: str | None = None, *rest: Any, **keywords: Any
    ) -> Any:
        """`encode` for queries: with the prompt called query, and on that side of a model that has two."""
        name = self._side(prompt, prompt_name, "query")
        return self.encode(inputs, name, prompt, *rest, **{**keywords, "task": "query"})

    def encode_document(
        self, inputs: Any = None, prompt_name: str | None = None, prompt: str | None = None, *rest: Any, **keywords: Any
    ) -> Any:
        """`encode` for what is searched: with the prompt called document, which is empty where the model has none."""
        name = self._side(prompt, prompt_name, "document", "passage", "corpus")
        return self.encode(inputs, name, prompt, *rest, **{**keywords, "task": "document"})

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Array | Tensor:
        """How alike each of the first vectors is to each of the second, in any form that `encode` gives: float32 (first, second).

        An array, which has ``cpu``, ``detach`` and ``numpy``; a tensor where tensors came in.
        """
        return compare(embeddings1, embeddings2, self._similarity)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Array | Tensor:
        """How alike each vector is to the one at its place: float32 (vectors,), as `similarity`."""
        return compare_pairs(embeddings1, embeddings2, self._similarity)

    @property
    def similarity_fn_name(self) -> str:
        """How `similarity` compares: cosine, dot, euclidean or manhattan."""
        return self._similarity

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: object) -> None:
        """Compare in another way; None is the class's usual one."""
        self._similarity = measure_name(self.measure if value is None else value)

    def get_sentence_embedding_dimension(self) -> int:
        """`get_embedding_dimension`, by its older name."""
        return self.get_embedding_dimension()
