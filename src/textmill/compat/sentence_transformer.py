"""SentenceTransformer: texts become vectors, as that class of sentence-transformers makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from textmill.compat.arguments import embed_options
from textmill.compat.encoder import Encoder
from textmill.compat.loaded import listed, named, positive, windows
from textmill.compat.quantization import PRECISIONS, Precision, quantize_embeddings
from textmill.compat.tensors import array_of, no_values, to_tensor

OutputValue = Literal["sentence_embedding", "token_embeddings"]


class SentenceTransformer(Encoder):
    """A model of dense vectors, for code written against sentence-transformers.

    Args:
        model_name_or_path: a folder, a hub id, or a name that an installed package carries; a name without an owner is one of
            sentence-transformers'.
        keywords: those of sentence-transformers (``device``, ``prompts``, ``default_prompt_name``, ``cache_folder``, ``revision``,
            ``local_files_only``, ``token``, ``model_kwargs``, ``processor_kwargs``, ``backend``, ``similarity_fn_name``,
            ``truncate_dim`` …), and the fields of `textmill.config.ModelOptions`. Others are warned of.

    Raises:
        ConfigInvalid: an option is impossible. ModelNotFound, DownloadFailed, ModelBroken, ExtraMissing: as `textmill.load`.

    """

    task = "embed"

    def __init__(self, model_name_or_path: str | Path | None = None, **keywords: Any) -> None:
        truncate = keywords.pop("truncate_dim", None)
        super().__init__(model_name_or_path, keywords)
        self.truncate_dim: int | None = truncate or self._settings.get("truncate_dim", int, 0) or None

    def encode(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: OutputValue | None = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
        **keywords: Any,
    ) -> Any:
        """Embed texts.

        Args:
            inputs: a text, or texts in a list, a tuple or an array; also called ``sentences``.
            prompt_name: one of ``prompts``; by default ``default_prompt_name``.
            prompt: what goes in front of each text; comes before ``prompt_name``.
            batch_size: without effect, batches are made by tokens.
            show_progress_bar: show one.
            output_value: ``sentence_embedding``; ``token_embeddings`` for the states of each text's tokens; None for a dict of
                both with the ids.
            precision: ``float32``, or ``int8``, ``uint8``, ``binary``, ``ubinary`` by the range of these vectors.
            convert_to_numpy: one array; False gives a list of arrays.
            convert_to_tensor: a tensor of PyTorch.
            device: the model's own; the constructor chooses it.
            normalize_embeddings: scale vectors to length one; models whose last module does that give such ones anyway.
            truncate_dim: keep that many leading values, before ``normalize_embeddings``.
            pool: without effect.
            chunk_size: without effect.
            keywords: ``task``: the model's adapter for it, where it has adapters.

        Returns float32 (texts, dimensions), for a single text (dimensions,); tensors only with ``convert_to_tensor``, where
        sentence-transformers gives others, arrays with ``cpu``, ``detach`` and ``numpy``. Raises InvalidInput for what is no text,
        ValueError where there is no such prompt or precision.

        """
        del pool, chunk_size
        texts, single = listed(named(inputs, keywords, "sentences"))
        adapter = self._adapter(keywords.pop("task", None))
        self._no_more(keywords, "encode")
        positive(batch_size)
        bits = _precision(precision)
        self._placed(device)
        text = self._prompt(prompt, prompt_name)
        if output_value != "sentence_embedding":
            rows = self._states(texts, text, adapter, truncate_dim, output_value)
            return rows[0] if single else rows
        vectors = self._vectors(
            texts, text, adapter, truncate_dim, normalize=normalize_embeddings, bar=show_progress_bar
        )
        made = quantize_embeddings(vectors, bits) if len(vectors) else vectors
        shaped = _shaped(made, "tensor" if convert_to_tensor else "array" if convert_to_numpy else "list")
        return shaped[0] if single else shaped

    def encode_multi_process(self, sentences: Any, pool: object = None, *rest: Any, **keywords: Any) -> Any:
        """`encode`, by the name that it had for pools of processes."""
        names = ("prompt_name", "prompt", "batch_size", "chunk_size", "show_progress_bar", "precision")
        return self.encode(sentences, pool=pool, **dict(zip(names, rest, strict=False)), **keywords)

    def get_embedding_dimension(self) -> int:
        """How many values a vector has."""
        width = self._model.info.dimensions
        return width if self.truncate_dim is None else min(width, self.truncate_dim)

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """While this lasts, keep that many leading values."""
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def _vectors(
        self, texts: list[Any], prompt: str, adapter: str | None, cut: int | None, *, normalize: bool, bar: bool | None
    ) -> npt.NDArray[np.float32]:
        """Float32 (texts, dimensions), cut behind the model's own scaling and before the caller's, as sentence-transformers does."""
        cut = self.truncate_dim if cut is None else cut
        if cut is not None and cut < 1:
            msg = f"truncate_dim is {cut}; it must be at least 1"
            raise ValueError(msg)
        scaled = embed_options(self._model.info, normalize=normalize, truncate_dim=cut)
        parts = [
            self._model.embed(part, prompt=prompt, adapter=adapter, **scaled)[:, :cut]
            for part in windows(texts, bar=bar)
        ]
        return np.concatenate(parts) if parts else np.empty((0, cut or self.get_embedding_dimension()), np.float32)

    def _states(
        self, texts: list[Any], prompt: str, adapter: str | None, cut: int | None, value: OutputValue | None
    ) -> list[Any]:
        """The states of each text's tokens, or all there is of it."""
        states = [array_of(each) for each in self._model.embed_tokens(texts, prompt=prompt)]
        if value == "token_embeddings":
            return list(states)
        if value is not None:
            msg = f"output_value is {value!r}; it can be sentence_embedding, token_embeddings or None"
            raise ValueError(msg)
        vectors = self._vectors(texts, prompt, adapter, cut, normalize=False, bar=None)
        ids = [self.tokenizer.encode(prompt + text, max_length=self.max_seq_length) for text in texts]
        return [
            {
                "input_ids": array_of(np.array(row, np.int64)),
                "attention_mask": array_of(np.ones(len(row), np.int64)),
                "token_embeddings": state,
                "sentence_embedding": array_of(vector),
            }
            for row, state, vector in zip(ids, states, vectors, strict=True)
        ]

    def _adapter(self, task: str | None) -> str | None:
        """The adapter for a task, which says nothing to a model that has none; nor do the two sides, which `encode_query` tells."""
        return task if self._recipe.adapters and task not in ("query", "document") else None


def _precision(wish: Precision | None) -> Precision:
    """The precision, if it is one. Raises ValueError otherwise."""
    precision = wish or "float32"
    if precision not in PRECISIONS:
        quantize_embeddings(np.empty((0, 0), np.float32), precision)
    return precision


def _shaped(values: npt.NDArray[Any], form: Literal["tensor", "array", "list"]) -> Any:
    if form == "tensor":
        return to_tensor(values) if len(values) else no_values()
    if form == "list":
        return [array_of(row) for row in values]
    return values if len(values) else np.array([])
