"""Tiny models that write, in OpenVINO's own form: what `optimum-cli export openvino` makes of a llama, without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov  # noqa: TID253 - what tests alone import
from openvino import Type  # noqa: TID253 - as above
from openvino import opset13 as op  # noqa: TID253 - as above
from safetensors.numpy import load_file

_LEAST = -65504.0
_INPUTS = ("input_ids", "attention_mask", "position_ids")


def as_openvino(folder: Path, *, keep: bool = False) -> Path:
    """Write openvino_model.xml beside a llama's safetensors, which go unless they are to ``keep``; returns ``folder``.

    The graph has keys and values as its state, as GenAI wants it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = folder / "model.safetensors"
    graph = _Graph(config, load_file(weights)).model()
    ov.save_model(graph, str(folder / "openvino_model.xml"), compress_to_fp16=False)
    if not keep:
        weights.unlink()
    return folder


class _Graph:
    """A llama as OpenVINO's operations."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._config = config
        self._tensors = tensors
        self._heads, self._keys = config["num_attention_heads"], config["num_key_value_heads"]
        self._wide = config["head_dim"]
        self._inputs = [op.parameter([-1, -1], Type.i64, name=name) for name in _INPUTS]
        self._inputs.append(op.parameter([-1], Type.i32, name="beam_idx"))
        for each in self._inputs:
            each.output(0).set_names({each.get_friendly_name()})
        self._ids, self._mask, self._positions, self._beam = self._inputs
        shape = op.shape_of(self._ids)
        self._batch, self._new = _at(shape, 0), _at(shape, 1)
        self._total = _at(op.shape_of(self._mask), 1)
        self._sinks: list[Any] = []

    def model(self) -> Any:
        """The whole."""
        states = op.gather(self._weight("model.embed_tokens"), self._ids, op.constant(np.int64(0)))
        turns, mask = self._turns(), self._allowed()
        for layer in range(self._config["num_hidden_layers"]):
            at = f"model.layers.{layer}"
            normed = self._norm(states, f"{at}.input_layernorm")
            states = op.add(states, self._attention(normed, layer, turns, mask))
            normed = self._norm(states, f"{at}.post_attention_layernorm")
            wide = op.multiply(
                op.swish(self._linear(normed, f"{at}.mlp.gate_proj")), self._linear(normed, f"{at}.mlp.up_proj")
            )
            states = op.add(states, self._linear(wide, f"{at}.mlp.down_proj"))
        logits = self._linear(self._norm(states, "model.norm"), "lm_head")
        logits.output(0).set_names({"logits"})
        return ov.Model([op.result(logits, name="logits")], self._sinks, self._inputs, "llama")

    def _attention(self, states: Any, layer: int, turns: tuple[Any, Any], mask: Any) -> Any:
        at = f"model.layers.{layer}.self_attn"
        query = _turned(self._parted(self._linear(states, f"{at}.q_proj"), self._heads), turns)
        key = _turned(self._parted(self._linear(states, f"{at}.k_proj"), self._keys), turns)
        value = self._parted(self._linear(states, f"{at}.v_proj"), self._keys)
        seen = [self._seen(f"past_key_values.{layer}.{name}", each) for name, each in (("key", key), ("value", value))]
        scale = op.constant(np.float32(self._wide**-0.5))
        made = op.transpose(op.scaled_dot_product_attention(query, *seen, mask, scale), _long(0, 2, 1, 3))
        return self._linear(op.reshape(made, _long(0, 0, self._heads * self._wide), special_zero=True), f"{at}.o_proj")

    def _seen(self, name: str, new: Any) -> Any:
        """The keys or values of all that was read, for each head of a query."""
        variable = name + name.replace("past_key_values", "present")
        empty = op.broadcast(op.constant(np.float32(0)), op.concat([self._batch, _long(self._keys, 0, self._wide)], 0))
        read = op.read_value(empty, variable, Type.f32, ov.PartialShape([-1, self._keys, -1, self._wide]))
        whole = op.concat([op.gather(read, self._beam, op.constant(np.int64(0))), new], -2)
        self._sinks.append(op.assign(whole, variable))
        many = op.concat([self._batch, _long(self._keys, self._heads // self._keys), self._total, _long(self._wide)], 0)
        spread = op.broadcast(op.unsqueeze(whole, _long(2)), many, "BIDIRECTIONAL")
        return op.reshape(spread, _long(0, self._heads, -1, self._wide), special_zero=True)

    def _turns(self) -> tuple[Any, Any]:
        """The cosines and sines of rotary positions."""
        steps = np.arange(0, self._wide, 2, dtype=np.float32) / self._wide
        speeds = op.constant((1.0 / self._config["rope_theta"] ** steps).astype(np.float32)[None, None])
        half = op.multiply(op.convert(op.unsqueeze(self._positions, _long(-1)), "f32"), speeds)
        angles = op.unsqueeze(op.concat([half, half], -1), _long(1))
        return op.cos(angles), op.sin(angles)

    def _allowed(self) -> Any:
        """What may be seen: what was before, and is no padding."""
        zero, one = op.constant(np.int64(0)), op.constant(np.int64(1))
        keys = op.range(zero, op.squeeze(self._total, _long(0)), one, Type.i64)
        past = op.subtract(self._total, self._new)
        queries = op.add(op.range(zero, op.squeeze(self._new, _long(0)), one, Type.i64), past)
        before = op.less_equal(op.unsqueeze(keys, _long(0)), op.unsqueeze(queries, _long(1)))
        there = op.unsqueeze(op.convert(self._mask, "boolean"), _long(1, 2))
        both = op.logical_and(op.unsqueeze(before, _long(0, 1)), there)
        return op.select(both, op.constant(np.float32(0)), op.constant(np.float32(_LEAST)))

    def _norm(self, states: Any, name: str) -> Any:
        mean = op.reduce_mean(op.power(states, op.constant(np.float32(2))), _long(-1), keep_dims=True)
        size = op.sqrt(op.add(mean, op.constant(np.float32(self._config["rms_norm_eps"]))))
        return op.multiply(op.divide(states, size), self._weight(name))

    def _linear(self, states: Any, name: str) -> Any:
        return op.matmul(states, self._weight(name), transpose_a=False, transpose_b=True)

    def _parted(self, states: Any, heads: int) -> Any:
        return op.transpose(op.reshape(states, _long(0, 0, heads, self._wide), special_zero=True), _long(0, 2, 1, 3))

    def _weight(self, name: str) -> Any:
        return op.constant(self._tensors[f"{name}.weight"])


def _turned(states: Any, turns: tuple[Any, Any]) -> Any:
    first, second = op.split(states, op.constant(np.int64(-1)), 2).outputs()
    across = op.concat([op.multiply(second, op.constant(np.float32(-1))), first], -1)
    return op.add(op.multiply(states, turns[0]), op.multiply(across, turns[1]))


def _at(shape: Any, index: int) -> Any:
    return op.gather(shape, _long(index), op.constant(np.int64(0)))


def _long(*values: int) -> Any:
    return op.constant(np.array(values, np.int64))
