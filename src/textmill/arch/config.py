"""config.json of a checkpoint: its values, checked before an architecture believes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from textmill.arch.ops import Activation
from textmill.errors import ModelBroken

C = TypeVar("C")

_hints = cache(get_type_hints)

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}
"""`hidden_act` by transformers' names. Its five tanh GELUs differ in the constants' last digit only, below float32."""


def parse_config(cls: type[C], config: Mapping[str, Any]) -> C:
    """Fill an architecture's Config with the keys of config.json that it names.

    A null counts as absent, except where the Config gives None a meaning. Raises ModelBroken for a missing key, a value of
    the wrong type, and what the Config itself refuses.
    """
    hints = _hints(cls)  # type: ignore[arg-type]  # typeshed forgets that classes hash
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]  # every Config is a dataclass
        value, hint = config.get(field.name), hints[field.name]
        if field.name in config and (value is not None or _fits(value, hint)):
            if not _fits(value, hint):
                kind = getattr(hint, "__name__", hint)
                msg = f"config.json says {field.name} {value!r}; the {config.get('model_type')} architecture needs type {kind}"
                raise ModelBroken(msg)
            values[field.name] = value
    try:
        return cls(**values)
    except TypeError as error:
        msg = f"config.json lacks a key that {config.get('model_type')} needs: {error}"
        raise ModelBroken(msg) from error


def _fits(value: object, hint: Any) -> bool:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if isinstance(value, bool):  # which Python counts among the integers
        return bool in options
    kinds = tuple(get_origin(option) or option for option in options)
    return isinstance(value, (*kinds, int) if float in kinds else kinds)


def refuse(key: str, value: object, supported: str) -> NoReturn:
    """Raise ModelBroken for a setting that textmill does not run; ``supported`` says what it does run."""
    msg = f"config.json says {key} {value!r}, which textmill does not run; it runs {supported}"
    raise ModelBroken(msg)


def activation(key: str, name: str) -> Activation:
    """The activation that config.json calls ``name`` under ``key``; raises ModelBroken for an unknown one."""
    if name not in ACTIVATIONS:
        refuse(key, name, ", ".join(ACTIVATIONS))
    return ACTIVATIONS[name]


def check_positive(**values: float) -> None:
    """Raise ModelBroken for the first of the named values that is not above zero."""
    for key, value in values.items():
        if value <= 0:
            msg = f"config.json says {key} {value!r}; it must be above zero"
            raise ModelBroken(msg)


def check_divides(divisor: tuple[str, int], number: tuple[str, int]) -> None:
    """Raise ModelBroken unless the number is a multiple of the divisor; each is a key with its value."""
    if number[1] % divisor[1]:
        msg = (
            f"config.json says {number[0]} {number[1]} and {divisor[0]} {divisor[1]}; the second must divide the first"
        )
        raise ModelBroken(msg)
