"""A loaded model in the words of SentenceTransformer, for programs that reach for ``embed_model._model``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from llama_index.embeddings.textmill.similarity import SIMILARITIES

import textmill

Vectors = npt.NDArray[np.float32]


class Encoder:
    """What ``HuggingFaceEmbedding._model`` is used for, over a model of textmill's.

    ``prompts`` has the keywords of `textmill.Model.embed` for the names "query" and "text", which LlamaIndex gives its prompts.
    """

    def __init__(
        self,
        model: textmill.Model,
        prompts: Mapping[str, Mapping[str, Any]],
        truncate_dim: int | None,
        similarity_fn_name: str | None,
    ) -> None:
        self.model = model
        self.truncate_dim = truncate_dim
        self.similarity_fn_name = similarity_fn_name or "cosine"
        self._prompts = prompts

    @property
    def max_seq_length(self) -> int:
        """Tokens of a text at most, special ones included."""
        return self.model.info.max_tokens

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.model.info.device

    def get_embedding_dimension(self) -> int:
        """Values of a vector."""
        return min(self.truncate_dim or self.model.info.dimensions, self.model.info.dimensions)

    get_sentence_embedding_dimension = get_embedding_dimension

    def encode(
        self,
        inputs: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool = False,
        **_: Any,
    ) -> Vectors:
        """Embed a text, giving (dimensions,), or several, giving (texts, dimensions); float32. Other keywords change nothing."""
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        if prompt is not None or prompt_name is None:
            named: Mapping[str, Any] = {"prompt": prompt}
        else:
            named = self._prompts.get(prompt_name, {"prompt_name": prompt_name})
        vectors = self.model.embed(texts, dimensions=self.truncate_dim, normalize=normalize_embeddings, **named)
        return vectors[0] if isinstance(inputs, str) else vectors

    def encode_query(self, inputs: str | Sequence[str], **kwargs: Any) -> Vectors:
        """`encode` as queries."""
        return self.encode(inputs, **({"prompt_name": "query"} | kwargs))

    def encode_document(self, inputs: str | Sequence[str], **kwargs: Any) -> Vectors:
        """`encode` as documents."""
        return self.encode(inputs, **({"prompt_name": "text"} | kwargs))

    def similarity(self, embeddings1: npt.ArrayLike, embeddings2: npt.ArrayLike) -> Vectors:
        """How alike each of the one and each of the other vectors are: float32 of shape (one, other); a single vector is a list of one."""
        one, other = (np.atleast_2d(np.asarray(each, dtype=np.float32)) for each in (embeddings1, embeddings2))
        return SIMILARITIES[self.similarity_fn_name](one, other)

    def __deepcopy__(self, _: Any) -> Self:
        return self
