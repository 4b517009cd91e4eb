"""A program: an architecture with its weights and heads, ready to be run by any runtime's ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from textmill.arch.config import parse_config
from textmill.arch.families import architecture
from textmill.arch.heads import Head, Output, Vocabulary
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")

Chains = Mapping[Output, Sequence[Head]]
"""For each output the heads that lead to it from the token states."""


@dataclass(frozen=True, slots=True)
class Program:
    """``run`` turns a batch's inputs into its outputs, in any runtime's terms; the token states are computed once."""

    architecture: ModuleType
    config: Any
    tensors: Mapping[str, Tensor]
    outputs: Chains

    def run(self, ops: Ops[T], inputs: Inputs[T]) -> dict[Output, T]:
        """All outputs of a batch; raises ModelBroken where a tensor is missing."""
        return self.answers(ops, self.states(ops, inputs))

    def states(self, ops: Ops[T], inputs: Inputs[T]) -> T:
        """The token states of a batch."""
        states: T = self.architecture.forward(ops, self.config, Weights(ops, self.tensors), inputs)
        return states

    def answers(self, ops: Ops[T], states: T) -> dict[Output, T]:
        """All outputs from the token states."""
        weights = Weights(ops, self.tensors)
        answers: dict[Output, T] = {}
        for output, heads in self.outputs.items():
            x = states
            for head in heads:
                x = head.apply(weights, x)
            answers[output] = x
        return answers


def build(config: Mapping[str, Any], tensors: Mapping[str, Tensor], outputs: Chains) -> Program:
    """The program of a checkpoint; raises ModelBroken for an unknown architecture or an incomplete config."""
    module = architecture(config)
    parsed = parse_config(module.Config, config)
    named = dict(module.sanitize(parsed, tensors))
    for heads in outputs.values():
        for head in heads:
            if isinstance(head, Vocabulary):
                named |= head.pick(named)
    return Program(module, parsed, named, outputs)
