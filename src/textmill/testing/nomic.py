"""A tiny Nomic BERT from a seed, in the spelling of nomic-embed-text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textmill.testing.checkpoints import tiny_bert
from textmill.testing.seeded import write_seeded
from textmill.testing.tokenizers import bert_tokenizer

_HIDDEN, _INNER, _LAYERS = 32, 256, 2


def tiny_nomic(folder: Path, *, seed: int = 0) -> Path:
    """Write a Nomic BERT with SwiGLU and mean pooling in the layout of sentence-transformers; returns ``folder``."""
    size = bert_tokenizer().get_vocab_size()
    config: dict[str, Any] = {
        "architectures": ["NomicBertModel"],
        "model_type": "nomic_bert",
        "activation_function": "swiglu",
        "causal": False,
        "layer_norm_epsilon": 1e-12,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "n_embd": _HIDDEN,
        "n_head": 4,
        "n_inner": _INNER,
        "n_layer": _LAYERS,
        "n_positions": 64,
        "max_trained_positions": 64,
        "prenorm": False,
        "qkv_proj_bias": False,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "type_vocab_size": 2,
        "vocab_size": size,
    }
    shapes: dict[str, tuple[int, ...]] = {"embeddings.word_embeddings.weight": (size, _HIDDEN)}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, _HIDDEN)}
    norms = ["emb_ln"]
    for index in range(_LAYERS):
        layer = f"encoder.layers.{index}"
        shapes |= {
            f"{layer}.attn.Wqkv.weight": (3 * _HIDDEN, _HIDDEN),
            f"{layer}.attn.out_proj.weight": (_HIDDEN, _HIDDEN),
        }
        shapes |= {f"{layer}.mlp.{name}.weight": (_INNER, _HIDDEN) for name in ("fc11", "fc12")}
        shapes[f"{layer}.mlp.fc2.weight"] = (_HIDDEN, _INNER)
        norms += [f"{layer}.norm1", f"{layer}.norm2"]
    shapes |= {f"{norm}.{kind}": (_HIDDEN,) for norm in norms for kind in ("weight", "bias")}
    return write_seeded(tiny_bert(folder), config, shapes, seed)
