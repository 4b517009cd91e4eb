"""Tiny checkpoints with heads, from a seed: a classifier, a reranker, a SPLADE model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from textmill.testing.checkpoints import tiny_bert, write_json, write_prompts, write_safetensors
from textmill.testing.seeded import seeded_tensors


def tiny_classifier(folder: Path, labels: Sequence[str] = ("joy", "anger", "fear"), *, seed: int = 0) -> Path:
    """Write a BERT that scores these labels, in the layout of transformers; with one label it can rank. Returns ``folder``."""
    tiny_bert(folder, seed=seed)
    (folder / "modules.json").unlink()
    names: dict[str, Any] = {"id2label": {str(i): label for i, label in enumerate(labels)}}
    names["label2id"] = {label: i for i, label in enumerate(labels)}
    _add(
        folder,
        "BertForSequenceClassification",
        seeded_tensors({"classifier.weight": (len(labels), 32), "classifier.bias": (len(labels),)}, seed),
        names,
    )
    return folder


def tiny_reranker(folder: Path, *, seed: int = 1) -> Path:
    """Write a BERT that scores one label, and so ranks. Returns ``folder``."""
    return tiny_classifier(folder, ("LABEL_0",), seed=seed)


def tiny_splade(folder: Path, *, seed: int = 2) -> Path:
    """Write a SparseEncoder of sentence-transformers: a masked BERT and SPLADE's pooling. Returns ``folder``."""
    tiny_bert(folder, seed=seed)
    size, head = json.loads((folder / "config.json").read_text())["vocab_size"], "cls.predictions"
    shapes: dict[str, tuple[int, ...]] = {f"{head}.bias": (size,), f"{head}.transform.dense.weight": (32, 32)}
    shapes |= {f"{head}.transform.{name}": (32,) for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias")}
    _add(folder, "BertForMaskedLM", seeded_tensors(shapes, seed), {})
    kinds = [
        ("", "sentence_transformers.sparse_encoder.models.MLMTransformer"),
        ("1_SpladePooling", "sentence_transformers.sparse_encoder.models.SpladePooling"),
    ]
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(kinds)]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_SpladePooling" / "config.json", {"pooling_strategy": "max", "activation_function": "relu"})
    write_prompts(folder, {})
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    write_json(folder / "config_sentence_transformers.json", settings | {"model_type": "SparseEncoder"})
    return folder


def _add(
    folder: Path, architecture: str, head: Mapping[str, npt.NDArray[np.float32]], config: Mapping[str, Any]
) -> None:
    """Put a head onto a plain BERT."""
    body = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    write_safetensors(folder / "model.safetensors", body | dict(head))
    known = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", known | {"architectures": [architecture], **config})
