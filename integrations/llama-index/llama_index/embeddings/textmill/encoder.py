"""A loaded model in the words of SentenceTransformer, for programs that reach for ``embed_model._model``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy.typing as npt

import textmill
from textmill.compat import Precision, compare, embed_options, quantize_embeddings


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
        inputs: str | Sequence[str] | None = None,
        *,
        sentences: str | Sequence[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        convert_to_tensor: bool = False,
        **_: Any,
    ) -> npt.NDArray[Any]:
        """Embed a text, giving (dimensions,), or several, giving (texts, dimensions). Other keywords change nothing.

        ``sentences`` is the older name of ``inputs``. Raises ValueError for ``convert_to_tensor``.
        """
        given = sentences if inputs is None else inputs
        if given is None:
            msg = "there are no inputs; give a text, or a list of them"
            raise TypeError(msg)
        if convert_to_tensor:
            msg = "convert_to_tensor needs PyTorch, which is not used here; torch.from_numpy makes tensors of arrays"
            raise ValueError(msg)
        texts = [given] if isinstance(given, str) else list(given)
        if prompt is not None or prompt_name is None:
            named: Mapping[str, Any] = {"prompt": prompt}
        else:
            named = self._prompts.get(prompt_name, {"prompt_name": prompt_name})
        cut = truncate_dim or self.truncate_dim
        scaled = embed_options(self.model.info, normalize=normalize_embeddings, truncate_dim=cut)
        vectors = quantize_embeddings(self.model.embed(texts, **scaled, **named)[:, :cut], precision)
        return vectors[0] if isinstance(given, str) else vectors

    def encode_query(self, inputs: str | Sequence[str], **kwargs: Any) -> npt.NDArray[Any]:
        """`encode` as queries."""
        return self.encode(inputs, **({"prompt_name": "query"} | kwargs))

    def encode_document(self, inputs: str | Sequence[str], **kwargs: Any) -> npt.NDArray[Any]:
        """`encode` as documents."""
        return self.encode(inputs, **({"prompt_name": "text"} | kwargs))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """How alike each of the one and each of the other vectors are: float32 of shape (one, other); a single vector is a list of one.

        An array, which has ``cpu``, ``detach`` and ``numpy``; a tensor where tensors came in.
        """
        return compare(embeddings1, embeddings2, self.similarity_fn_name)

    def __deepcopy__(self, _: Any) -> Self:
        return self
