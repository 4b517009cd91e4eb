"""A program: an architecture with its weights and heads, ready to be run by any runtime's ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from textmill.arch.config import parse_config
from textmill.arch.heads import Head
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")

ARCHITECTURES = {"bert": "textmill.arch.bert", "qwen3": "textmill.arch.qwen3"}
"""`model_type` of config.json to the module that holds `Config`, `sanitize` and `forward`."""


@dataclass(frozen=True, slots=True)
class Program:
    """``run`` turns a batch's inputs into one vector a row, in any runtime's terms."""

    architecture: ModuleType
    config: Any
    tensors: Mapping[str, Tensor]
    heads: Sequence[Head]

    def run(self, ops: Ops[T], inputs: Inputs[T]) -> T:
        """Vectors (rows, dimensions) of a batch; raises ModelBroken where a tensor is missing."""
        weights = Weights(ops, self.tensors)
        x: T = self.architecture.forward(ops, self.config, weights, inputs)
        for head in self.heads:
            x = head.apply(weights, x)
        return x


def architecture(config: Mapping[str, Any]) -> ModuleType:
    """The module for a config.json; raises ModelBroken with the families that textmill runs."""
    family = config.get("model_type")
    if not isinstance(family, str) or family not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        msg = (
            f"config.json says model_type {family!r}, which textmill does not run; it runs {known}. "
            "textmill never runs code from a model repository."
        )
        raise ModelBroken(msg)
    return import_module(ARCHITECTURES[family])


def build(config: Mapping[str, Any], tensors: Mapping[str, Tensor], heads: Sequence[Head]) -> Program:
    """The program of a checkpoint; raises ModelBroken for an unknown architecture or an incomplete config."""
    module = architecture(config)
    parsed = parse_config(module.Config, config)
    return Program(module, parsed, module.sanitize(parsed, tensors), heads)
