"""Models that score classes, for each text or for each token: transformers' classifiers and CrossEncoder's folders."""

from __future__ import annotations

from typing import Any

from textmill.arch.families import heads_of
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Classes, Kind
from textmill.checkpoint.source import Source
from textmill.contract import Scoring
from textmill.errors import ModelBroken

_TEXTS = "ForSequenceClassification"
_TOKENS = "ForTokenClassification"
_TASKS = {_TEXTS: ("classify", "rerank"), _TOKENS: ("classify_tokens",)}
_PROBLEMS: dict[str, Scoring] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": "raw",
}


def read_classes(source: Source) -> Kind | None:
    """The kind of a model that classifies texts or their tokens; None for any other.

    Raises ModelBroken, naming the file and the key, for labels that make no sense.
    """
    trained = next((name for name in _TASKS if source.trained_as.endswith(name)), None)
    if trained is None or not _means_it(source, trained):
        return None
    labels = read_labels(source.config)
    if trained == _TOKENS:
        heads = heads_of(source.architecture, source.parsed, "token_classifier")
        return Kind(outputs={"token_logits": heads}, classes=Classes(labels))
    heads = heads_of(source.architecture, source.parsed, "classifier")
    return Kind(outputs={"logits": heads}, classes=Classes(labels, _scoring(source)))


def read_labels(config: JsonFile) -> tuple[str, ...] | None:
    """The labels of config.json by their index; None where it has neither id2label nor label2id nor num_labels."""
    named: dict[str, Any] = config.get("id2label", dict, {})
    if named:
        return _in_order(config, "id2label", {str(index): str(label) for index, label in named.items()})
    indices: dict[str, Any] = config.get("label2id", dict, {})
    if indices:
        return _in_order(config, "label2id", {str(index): label for label, index in indices.items()})
    if config.data.get("num_labels") is None:
        return None
    return tuple(f"LABEL_{index}" for index in range(config.size("num_labels")))


def _in_order(config: JsonFile, key: str, labels: dict[str, str]) -> tuple[str, ...]:
    wanted = [str(index) for index in range(len(config.get(key, dict, {})))]
    missing = [index for index in wanted if index not in labels]
    if missing:
        msg = f"{config.path}: {key} has {len(wanted)} labels, but none with the index {missing[0]}"
        raise ModelBroken(msg)
    named = tuple(labels[index] for index in wanted)
    for index, label in enumerate(named):
        if named.index(label) != index:
            msg = f"{config.path}: {key} gives the label {label!r} to both {named.index(label)} and {index}"
            raise ModelBroken(msg)
    return named


def _means_it(source: Source, trained: str) -> bool:
    """Whether the model is a classifier as its class name says: it may be used, or be saved, for something else."""
    if source.ask.task is not None:
        return source.ask.task in _TASKS[trained]
    if source.modules:
        return len(source.modules) == 1 and source.model.get("model_type", str, "") == "CrossEncoder"
    # gte-multilingual-base is an embedding model of that class, which has no labels.
    return source.trained_as != "NewForTokenClassification" or read_labels(source.config) is not None


def _scoring(source: Source) -> Scoring | None:
    """The scoring that the files ask for: by the kind of problem, or by the activation that CrossEncoder keeps."""
    problem = source.config.get("problem_type", str, "")
    if problem:
        if problem not in _PROBLEMS:
            msg = f"{source.config.path}: problem_type {problem!r} is unknown; textmill knows {', '.join(_PROBLEMS)}"
            raise ModelBroken(msg)
        return _PROBLEMS[problem]
    own = source.config.get("sentence_transformers", dict, {})
    kept = str(source.model.data.get("activation_fn") or own.get("activation_fn") or "")
    return "sigmoid" if kept.rpartition(".")[2] == "Sigmoid" else None
