"""Checkpoints of common sizes with weights from a seed: speed and memory do not depend on what a model has learned."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import torch  # noqa: TID253 - bench compares with it
import transformers  # noqa: TID253 - as above

from textmill.checkpoint.hub import resolve

BERT_BASE: Final = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
MINI_LM: Final = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
_TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def encoder(folder: Path, shape: dict[str, int]) -> Path:
    """A BERT of that shape with MiniLM's vocabulary, to be pooled by mean."""
    return _save(folder, transformers.BertModel, transformers.BertConfig(**shape))


def cross_encoder(folder: Path, shape: dict[str, int]) -> Path:
    """A BERT of that shape with one score for each pair."""
    # Larger weights than at the start of training, so that scores differ by more than rounding.
    config = transformers.BertConfig(**shape, num_labels=1, initializer_range=0.06)
    return _save(folder, transformers.BertForSequenceClassification, config)


def linear_flops(shape: dict[str, int]) -> int:
    """Floating-point operations of a token in the linear layers of the encoder, two for each weight."""
    hidden, wide = shape["hidden_size"], shape["intermediate_size"]
    return 2 * shape["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * wide)


def attention_flops(shape: dict[str, int], length: int) -> int:
    """Floating-point operations of a token in the products of attention, in a row of that length."""
    return 4 * shape["num_hidden_layers"] * shape["hidden_size"] * length


def _save(folder: Path, kind: Any, config: Any) -> Path:
    torch.manual_seed(7)
    model = kind(config)
    for name, weights in model.named_parameters():
        if name.endswith("bias"):  # a runtime leaves out biases of zeros, which no trained model has
            torch.nn.init.normal_(weights, std=0.02)
    model.save_pretrained(folder)
    source = resolve("all-MiniLM-L6-v2").folder
    for name in _TOKENIZER:
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    return folder
