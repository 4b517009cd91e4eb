"""Tiny checkpoints from a seed: complete folders that textmill and sentence-transformers both load.

Their vectors mean nothing, but depend on every weight and every token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.arch.ops import DType
from textmill.testing.tokenizers import bert_tokenizer, qwen3_tokenizer

Arrays = Mapping[str, npt.NDArray[Any]]

_CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int8": "I8"}


@dataclass(frozen=True, slots=True)
class DenseModule:
    """A Dense module to append; ``activation`` is a dotted path of torch, as sentence-transformers writes it."""

    out_features: int
    activation: str = "torch.nn.modules.activation.Tanh"
    bias: bool = True


@dataclass(frozen=True, slots=True)
class LayerNormModule:
    """A LayerNorm module to append."""


@dataclass(frozen=True, slots=True)
class NormalizeModule:
    """A Normalize module to append."""


Module = DenseModule | LayerNormModule | NormalizeModule


def tiny_bert(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    positions: int = 64,
    pooling: str | Sequence[str] = "mean",
    modules: Sequence[Module] = (NormalizeModule(),),
    include_prompt: bool = True,
    dtype: DType = "float32",
    shards: int = 1,
    max_seq_length: int | None = 32,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    tensor_prefix: str = "",
) -> Path:
    """Write a BERT in the layout of sentence-transformers, with a WordPiece tokenizer that takes any text; returns ``folder``."""
    rng = np.random.default_rng(seed)
    tokenizer = bert_tokenizer()
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * hidden,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }
    tensors = {tensor_prefix + name: array for name, array in _bert_tensors(rng, config).items()}
    _write_transformer(folder, config, tensors, dtype=dtype, shards=shards)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {name: f"[{name[:3].upper()}]" for name in ("unk_token", "sep_token", "pad_token", "cls_token")}
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions, **special},
    )
    _write_layout(folder, rng, hidden, pooling, modules, include_prompt=include_prompt)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": False})
    write_prompts(folder, prompts or {}, default_prompt_name)
    return folder


def tiny_qwen3(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 16,
    positions: int = 128,
    pooling: str | Sequence[str] = "lasttoken",
    modules: Sequence[Module] = (NormalizeModule(),),
    include_prompt: bool = True,
    dtype: DType = "float32",
    shards: int = 1,
    max_seq_length: int | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    tensor_prefix: str = "",
) -> Path:
    """Write a Qwen3 with grouped queries in the layout of sentence-transformers, with a byte-level tokenizer; returns ``folder``."""
    rng = np.random.default_rng(seed)
    tokenizer = qwen3_tokenizer()
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": 2 * hidden,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000,
        "max_position_embeddings": positions,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "tie_word_embeddings": True,
    }
    tensors = {tensor_prefix + name: array for name, array in _qwen3_tensors(rng, config).items()}
    _write_transformer(folder, config, tensors, dtype=dtype, shards=shards)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions, **special},
    )
    _write_layout(folder, rng, hidden, pooling, modules, include_prompt=include_prompt)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": False})
    write_prompts(folder, prompts or {}, default_prompt_name)
    return folder


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, making its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def write_prompts(folder: Path, prompts: Mapping[str, str], default: str | None = None) -> None:
    """Write config_sentence_transformers.json with these prompts."""
    write_json(folder / "config_sentence_transformers.json", {"prompts": dict(prompts), "default_prompt_name": default})


def write_safetensors(path: Path, arrays: Arrays, *, bfloat16: bool = False) -> None:
    """Write a safetensors file; with ``bfloat16``, uint16 arrays hold its bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, array in arrays.items():
        code = "BF16" if bfloat16 and array.dtype == np.uint16 else _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"".join(array.tobytes() for array in arrays.values()))


def bfloat16_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The nearest bfloat16 of finite values, as bits; ties go to the even one."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _normal(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    """Weights that keep the size of what they multiply; vectors, as biases have, are small."""
    scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def _bert_tensors(rng: np.random.Generator, config: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    tensors: dict[str, npt.NDArray[np.float32]] = {}

    def linear(name: str, out: int, into: int) -> None:
        tensors[f"{name}.weight"] = _normal(rng, out, into)
        tensors[f"{name}.bias"] = _normal(rng, out)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = 1 + _normal(rng, hidden)
        tensors[f"{name}.bias"] = _normal(rng, hidden)

    for table, entries in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        tensors[f"embeddings.{table}_embeddings.weight"] = _normal(rng, config[entries], hidden)
    norm("embeddings.LayerNorm")
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", hidden, hidden)
        linear(f"{layer}.attention.output.dense", hidden, hidden)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", wide, hidden)
        linear(f"{layer}.output.dense", hidden, wide)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return tensors


def _qwen3_tensors(rng: np.random.Generator, config: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
    hidden, wide, width = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    tensors = {"embed_tokens.weight": _normal(rng, config["vocab_size"], hidden)}
    for index in range(config["num_hidden_layers"]):
        layer = f"layers.{index}"
        shapes = {
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
        }
        shapes |= {
            "self_attn.o_proj": (hidden, queries),
            "mlp.gate_proj": (wide, hidden),
            "mlp.up_proj": (wide, hidden),
        }
        shapes |= {"mlp.down_proj": (hidden, wide)}
        tensors |= {f"{layer}.{name}.weight": _normal(rng, *shape) for name, shape in shapes.items()}
        norms = {
            "input_layernorm": hidden,
            "post_attention_layernorm": hidden,
            "self_attn.q_norm": width,
            "self_attn.k_norm": width,
        }
        tensors |= {f"{layer}.{name}.weight": 1 + _normal(rng, size) for name, size in norms.items()}
    tensors["norm.weight"] = 1 + _normal(rng, hidden)
    return tensors


def _write_transformer(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[np.float32]],
    *,
    dtype: DType,
    shards: int,
) -> None:
    """config.json and the weights, in one file or in shards with an index."""
    write_json(folder / "config.json", {**config, "torch_dtype": dtype})
    arrays: dict[str, npt.NDArray[Any]] = {
        name: bfloat16_bits(array) if dtype == "bfloat16" else array.astype(dtype) for name, array in tensors.items()
    }
    if shards == 1:
        write_safetensors(folder / "model.safetensors", arrays, bfloat16=dtype == "bfloat16")
        return
    names = list(arrays)
    weight_map: dict[str, str] = {}
    for index in range(shards):
        file = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        part = {name: arrays[name] for name in names[index::shards]}
        write_safetensors(folder / file, part, bfloat16=dtype == "bfloat16")
        weight_map |= dict.fromkeys(part, file)
    total = sum(array.nbytes for array in arrays.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def _write_layout(
    folder: Path,
    rng: np.random.Generator,
    hidden: int,
    pooling: str | Sequence[str],
    modules: Sequence[Module],
    *,
    include_prompt: bool,
) -> None:
    """modules.json, and a folder for each module with its config and weights."""
    modes = [pooling] if isinstance(pooling, str) else list(pooling)
    entries = [("Transformer", ""), ("Pooling", "1_Pooling")]
    settings = {"embedding_dimension": hidden, "pooling_mode": modes if len(modes) > 1 else modes[0]}
    write_json(folder / "1_Pooling" / "config.json", {**settings, "include_prompt": include_prompt})
    width = hidden * len(modes)
    for index, module in enumerate(modules, start=2):
        kind = type(module).__name__.removesuffix("Module")
        path = f"{index}_{kind}"
        entries.append((kind, path))
        width = _write_module(folder / path, rng, module, width)
    write_json(
        folder / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (kind, path) in enumerate(entries)
        ],
    )


def _write_module(folder: Path, rng: np.random.Generator, module: Module, width: int) -> int:
    """One module's folder for vectors of ``width`` features; returns the width that it makes of them."""
    if isinstance(module, NormalizeModule):
        return width
    if isinstance(module, LayerNormModule):
        write_json(folder / "config.json", {"dimension": width})
        write_safetensors(
            folder / "model.safetensors", {"norm.weight": 1 + _normal(rng, width), "norm.bias": _normal(rng, width)}
        )
        return width
    out = module.out_features
    config = {"in_features": width, "out_features": out, "bias": module.bias, "activation_function": module.activation}
    write_json(folder / "config.json", config)
    tensors = {"linear.weight": _normal(rng, out, width)}
    if module.bias:
        tensors["linear.bias"] = _normal(rng, out)
    write_safetensors(folder / "model.safetensors", tensors)
    return out
