"""Tiny checkpoints as GGUF files: encoders for llama.cpp, whose vectors and scores can be compared with our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import MODEL_ARCH, TensorNameMap, TokenType, get_tensor_name_map
from safetensors.numpy import load_file

from textmill.testing.gguf_model import Tensors, Value, write_model
from textmill.testing.gguf_vocabulary import Vocabulary

_POOLINGS = {"none": 0, "mean": 1, "cls": 2, "lasttoken": 3, "rank": 4}


def bert_gguf(path: Path, checkpoint: Path, *, pooling: str = "mean", dtype: npt.DTypeLike = np.float32) -> Path:
    """Write a folder of `tiny_bert` or `tiny_reranker` as a GGUF file; returns ``path``.

    ``pooling`` is none, mean, cls or, for a reranker, rank, which keeps the head and its labels.
    """
    config = _config(checkpoint)
    names = get_tensor_name_map(MODEL_ARCH.BERT, config["num_hidden_layers"])
    weights = {
        name.removeprefix("bert."): tensor for name, tensor in load_file(checkpoint / "model.safetensors").items()
    }
    head = {} if pooling != "rank" else _head(weights)
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(("pooler.", "classifier."))}
    keys: dict[str, Value] = {
        ".attention.causal": False,
        ".attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
    }
    keys |= _shape(config, pooling) | {"tokenizer.ggml.token_type_count": config["type_vocab_size"]}
    if head:
        keys[".classifier.output_labels"] = list(config["id2label"].values())
    return write_model(path, "bert", keys, _word_pieces(checkpoint), {**_renamed(weights, names), **head}, dtype)


def qwen3_gguf(path: Path, checkpoint: Path, *, pooling: str = "lasttoken", dtype: npt.DTypeLike = np.float32) -> Path:
    """Write a folder of `tiny_qwen3` as a GGUF file that embeds; returns ``path``. ``pooling`` is none, mean, cls or lasttoken."""
    config = _config(checkpoint)
    names = get_tensor_name_map(MODEL_ARCH.QWEN3, config["num_hidden_layers"])
    keys: dict[str, Value] = {".attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"])}
    keys |= {".attention.head_count_kv": config["num_key_value_heads"], ".rope.freq_base": float(config["rope_theta"])}
    keys |= {".attention.key_length": config["head_dim"], ".attention.value_length": config["head_dim"]}
    keys |= _shape(config, pooling)
    weights = load_file(checkpoint / "model.safetensors")
    return write_model(path, "qwen3", keys, _byte_pairs(checkpoint), _renamed(weights, names), dtype)


def nomic_gguf(path: Path, checkpoint: Path, *, pooling: str = "mean", dtype: npt.DTypeLike = np.float32) -> Path:
    """Write a folder of `tiny_nomic` as a GGUF file; returns ``path``. ``pooling`` is none, mean or cls."""
    config = _config(checkpoint)
    places = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
    places |= {"intermediate_size": "n_inner", "max_position_embeddings": "n_positions"}
    names = get_tensor_name_map(MODEL_ARCH.NOMIC_BERT, config["n_layer"])
    keys: dict[str, Value] = {".attention.causal": False, ".rope.freq_base": float(config["rotary_emb_base"])}
    keys |= {".attention.layer_norm_epsilon": float(config["layer_norm_epsilon"])}
    keys |= _shape({usual: config[own] for usual, own in places.items()}, pooling)
    keys["tokenizer.ggml.token_type_count"] = config["type_vocab_size"]
    weights = load_file(checkpoint / "model.safetensors")
    return write_model(path, "nomic-bert", keys, _word_pieces(checkpoint), _renamed(weights, names), dtype)


def _config(checkpoint: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] = json.loads((checkpoint / "config.json").read_text())
    return config


def _shape(config: Mapping[str, Any], pooling: str) -> dict[str, Value]:
    """The keys that every architecture has."""
    return {
        "general.name": "tiny",
        ".context_length": config["max_position_embeddings"],
        ".embedding_length": config["hidden_size"],
        ".feed_forward_length": config["intermediate_size"],
        ".block_count": config["num_hidden_layers"],
        ".attention.head_count": config["num_attention_heads"],
        ".pooling_type": _POOLINGS[pooling],
    }


def _renamed(weights: Tensors, names: TensorNameMap) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors under GGUF's names; raises KeyError for one that has none."""
    renamed = {}
    for name, tensor in weights.items():
        stem, _, kind = name.rpartition(".")
        renamed[f"{names[stem]}.{kind}"] = tensor
    return renamed


def _head(weights: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """BERT's pooler and classifier, under the names that llama.cpp ranks by."""
    places = {"pooler.dense": "cls", "classifier": "cls.output"}
    return {f"{new}.{kind}": weights[f"{old}.{kind}"] for old, new in places.items() for kind in ("weight", "bias")}


def _word_pieces(checkpoint: Path) -> Vocabulary:
    """BERT's vocabulary as llama.cpp has it: a word begins with ▁, its further pieces with nothing."""
    tokens = _tokens(checkpoint)
    control = {"[PAD]", "[CLS]", "[SEP]", "[MASK]"}
    types = [
        TokenType.CONTROL if token in control else TokenType.UNKNOWN if token == "[UNK]" else TokenType.NORMAL  # noqa: S105
        for token in tokens
    ]
    spelt = [
        token if kind != TokenType.NORMAL else token[2:] if token.startswith("##") else f"▁{token}"
        for token, kind in zip(tokens, types, strict=True)
    ]
    marks = {"bos": "[CLS]", "eos": "[SEP]", "unknown": "[UNK]", "seperator": "[SEP]", "padding": "[PAD]"}
    marks |= {"cls": "[CLS]", "mask": "[MASK]"}
    special = {name: tokens.index(mark) for name, mark in marks.items()}
    added = {"bos": True, "eos": True, "sep": False}
    return Vocabulary(spelt, types, special, model="bert", pre="default", add=added)


def _byte_pairs(checkpoint: Path) -> Vocabulary:
    """A byte-level vocabulary whose end of text is put behind each text."""
    state = json.loads((checkpoint / "tokenizer.json").read_text())
    tokens = _tokens(checkpoint)
    special = {token["id"] for token in state["added_tokens"]}
    types = [TokenType.CONTROL if index in special else TokenType.NORMAL for index in range(len(tokens))]
    end = tokens.index("<|endoftext|>")
    merges = [" ".join(merge) for merge in state["model"]["merges"]]
    added = {"bos": False, "eos": True}
    return Vocabulary(tokens, types, {"eos": end, "padding": end}, merges=merges, add=added)


def _tokens(checkpoint: Path) -> Sequence[str]:
    """The tokens of tokenizer.json in the order of their ids."""
    state = json.loads((checkpoint / "tokenizer.json").read_text())
    ids = state["model"]["vocab"] | {token["content"]: token["id"] for token in state["added_tokens"]}
    return sorted(ids, key=lambda token: ids[token])
