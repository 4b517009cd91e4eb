"""CrossEncoder: pairs of texts become scores, as that class of sentence-transformers makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.jsonfile import JsonFile
from textmill.compat.arguments import warn
from textmill.compat.loaded import Loaded, named, positive, windows
from textmill.compat.tensors import Tensor, array_of, from_tensor, no_values, to_tensor
from textmill.errors import ConfigInvalid, WrongTask

Floats = npt.NDArray[np.float32]
Activation = Callable[[Tensor], Tensor] | str | None
_OLDER = ("num_labels", "max_length", "activation_fn", "device")
"""Arguments that older releases took without their names, behind the model's."""


class CrossEncoder(Loaded):
    """A model that reads two texts together, for code written against sentence-transformers.

    Args:
        model_name_or_path: a folder or a hub id.
        keywords: those of sentence-transformers (``max_length``, ``activation_fn``, ``num_labels``, ``device``, ``model_kwargs`` …), and
            the fields of `textmill.config.ModelOptions`. Others are warned of.

    Raises:
        WrongTask: the model neither ranks nor classifies. Others as `SentenceTransformer`.

    """

    organisation = "cross-encoder"

    def __init__(self, model_name_or_path: str | Path | None = None, *older: Any, **keywords: Any) -> None:
        if len(older) > len(_OLDER):
            msg = f"CrossEncoder takes {', '.join(_OLDER)} behind the model's name; give the others by their names"
            raise TypeError(msg)
        keywords = {**dict(zip(_OLDER, older, strict=False)), **keywords}
        named_before = keywords.pop("model_name", None)
        model_name_or_path = named_before if model_name_or_path is None else model_name_or_path
        wanted = keywords.pop("num_labels", None)
        activation = keywords.pop("activation_fn", None) or keywords.pop("default_activation_function", None)
        keywords.pop("classifier_dropout", None)
        super().__init__(model_name_or_path, keywords)
        tasks = self._model.info.tasks
        if not {"classify", "rerank"} & set(tasks):
            msg = f"{model_name_or_path} reads no pairs of texts; it can {', '.join(tasks)}"
            raise WrongTask(msg)
        if wanted is not None and wanted != self.num_labels:
            msg = (
                f"num_labels is {wanted}, and the model scores {self.num_labels}; textmill does not train another head"
            )
            raise ConfigInvalid(msg)
        self.activation_fn: Activation = activation if activation is not None else self.get_default_activation_fn()

    @property
    def num_labels(self) -> int:
        """How many scores a pair gets."""
        return len(self._model.info.labels) if "classify" in self._model.info.tasks else 1

    @property
    def max_length(self) -> int:
        """`max_seq_length`, by its older name."""
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        """Take pairs of so many tokens at most."""
        self.max_seq_length = value

    @property
    def default_activation_function(self) -> Activation:
        """`activation_fn`, by its older name."""
        return self.activation_fn

    def get_default_activation_fn(self) -> str:
        """The class in torch.nn, by its name, that the model's files ask for; Sigmoid for one score, else Identity."""
        config = JsonFile.read_if_there(self._recipe.transformer_folder / "config.json")
        own = config.get("sentence_transformers", dict, {})
        kept = (
            self._settings.get("activation_fn", str, "")
            or str(own.get("activation_fn") or "")
            or config.get("sbert_ce_default_activation_function", str, "")
        )
        usual = "Sigmoid" if self.num_labels == 1 else "Identity"
        name = kept.rpartition(".")[2]
        if kept and not (kept.startswith("torch.") and name in _ACTIVATIONS):
            warn(f"activation_fn {kept} of the model's files is unknown here; {usual} is taken", level=4)
            return usual
        return name or usual

    def predict(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        pool: object = None,
        chunk_size: int | None = None,
        **keywords: Any,
    ) -> Any:
        """Score pairs of texts.

        Args:
            inputs: a pair, or a list of pairs; also called ``sentences``.
            prompt_name: one of ``prompts``; by default ``default_prompt_name``.
            prompt: what goes in front of the first text of each pair; for rerankers that are asked with an instruction, this.
            batch_size: without effect, batches are made by tokens.
            show_progress_bar: show one.
            activation_fn: what makes scores of the model's own values: a class of torch.nn or its name (Identity, Sigmoid), or a
                function, which is given a tensor of PyTorch; by default ``self.activation_fn``.
            apply_softmax: have the scores of a pair share 1, where there are several.
            convert_to_numpy: one array; False gives a list of arrays.
            convert_to_tensor: a tensor of PyTorch.
            device: as in `SentenceTransformer.encode`, and so are ``pool`` and ``chunk_size``.
            pool: without effect.
            chunk_size: without effect.
            keywords: ``activation_fct``, an older name.

        Returns:
            float32 (pairs,) for models with one label, else (pairs, labels); without the first axis for a single pair.

        """
        del pool, chunk_size
        pairs = named(inputs, keywords, "sentences")
        activation_fn = keywords.pop("activation_fct", activation_fn)
        keywords.pop("num_workers", None)
        self._no_more(keywords, "predict")
        positive(batch_size)
        self._placed(device)
        given, single = _pairs(pairs)
        wish = self._prompt(prompt, prompt_name)
        raw = [self._raw(part, wish) for part in windows(given, bar=show_progress_bar)] if given else []
        scores = self._scores(np.concatenate(raw), activation_fn, softmax=bool(apply_softmax)) if raw else None
        if convert_to_tensor:
            made = no_values() if scores is None else to_tensor(scores)
        elif convert_to_numpy:
            made = np.array([]) if scores is None else scores
        else:
            made = [] if scores is None else [array_of(np.asarray(row)) for row in scores]
        return made[0] if single else made

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation = None,
        **keywords: Any,
    ) -> list[dict[str, Any]]:
        """The documents by their scores, best first: dicts of ``corpus_id``, ``score``, and ``text`` where they are asked for.

        Raises ValueError for a model with several labels.
        """
        if self.num_labels != 1:
            msg = (
                f"rank needs a model with one label, and this has {self.num_labels}; predict gives the scores of pairs"
            )
            raise ValueError(msg)
        for idle in ("apply_softmax", "convert_to_numpy", "convert_to_tensor"):
            keywords.pop(idle, None)
        scores = self.predict(
            [(query, document) for document in documents],
            prompt_name,
            prompt,
            batch_size,
            show_progress_bar,
            activation_fn,
            **keywords,
        )
        ranked = sorted(enumerate(np.asarray(scores).tolist()), key=lambda pair: -pair[1])[:top_k]
        told: list[dict[str, Any]] = [{"corpus_id": index, "score": score} for index, score in ranked]
        if return_documents:
            told = [{**each, "text": documents[each["corpus_id"]]} for each in told]
        return told

    def _raw(self, pairs: Sequence[tuple[str, str]], instruction: str) -> Floats:
        """The model's own values, (pairs, labels)."""
        info = self._model.info
        if "classify" not in info.tasks:
            return self._asked(pairs, instruction)
        told = self._model.classify([(instruction + first, second) for first, second in pairs], scoring="raw")
        return np.array([[scores[label] for label in info.labels] for scores in told], np.float32)

    def _asked(self, pairs: Sequence[tuple[str, str]], instruction: str) -> Floats:
        """The values of a model that ranks and does not classify, (pairs, 1): query by query."""
        made = np.empty((len(pairs), 1), np.float32)
        places: dict[str, list[int]] = {}
        for index, (query, _) in enumerate(pairs):
            places.setdefault(query, []).append(index)
        for query, own in places.items():
            texts = [pairs[index][1] for index in own]
            for each in self._model.rerank(query, texts, scoring="raw", instruction=instruction or None):
                made[own[each.index]] = each.score
        return made

    def _scores(self, raw: Floats, activation: Activation, *, softmax: bool) -> Floats:
        scores = _activated(raw, self.activation_fn if activation is None else activation)
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores[:, 0]
        return _softmax(scores) if softmax and scores.ndim > 1 else scores


def _pairs(given: Any) -> tuple[list[tuple[str, str]], bool]:
    """Pairs as tuples, and whether it was a single one. Raises ValueError for what is none."""
    if isinstance(given, str):
        msg = f"there is one text, {given!r:.80}, where pairs of texts are to be"
        raise ValueError(msg)  # noqa: TRY004 - as for pairs that are none
    items = given.tolist() if isinstance(given, np.ndarray) else list(given)
    single = bool(items) and not isinstance(items[0], list | tuple | np.ndarray)
    pairs = [tuple(pair) for pair in ([items] if single else items)]
    for index, pair in enumerate(pairs):
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):  # noqa: PLR2004 - a pair
            msg = f"input {index} is {pair!r:.80}, but must be two texts"
            raise ValueError(msg)
    return [(str(first), str(second)) for first, second in pairs], single


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))), np.float32)


def _activated(raw: Floats, activation: Activation) -> Floats:
    """Scores of a model's values; those classes of torch.nn that are known need no PyTorch."""
    name = activation if isinstance(activation, str) else type(activation).__name__
    name = name.rpartition(".")[2]
    if name in _ACTIVATIONS and (isinstance(activation, str) or type(activation).__module__.startswith("torch.")):
        return _ACTIVATIONS[name](raw)
    if not callable(activation):
        msg = f"activation_fn is {activation!r}; it can be a function, or {', '.join(_ACTIVATIONS)}"
        raise TypeError(msg)
    return from_tensor(activation(to_tensor(raw)))


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "Identity": lambda values: values,
    "Sigmoid": _sigmoid,
}
