"""How tokens are chosen, in the values of OpenVINO GenAI's GenerationConfig; what it does not have is refused."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from textmill.contract import GenerateOptions, Sampling
from textmill.errors import InvalidInput

_COLDEST = 1e-5
"""Temperatures below it take the likeliest token."""
_USUAL: Mapping[str, float] = {
    "temperature": 0.9,
    "top_p": 0.95,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repeat_penalty": 1.0,
}
"""What LocalAI takes where nobody says."""
_LIMITS: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.0, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_ABSENT: Mapping[str, tuple[float, ...]] = {"typical_p": (0.0, 1.0), "mirostat": (0,)}
"""What the engine does not have, with values that ask for nothing."""
_MOST_K = 2**31 - 1
_LIKELIEST = "OpenVINO GenAI tells the log-probability of the token that was written, and of no other"


@dataclass(frozen=True, slots=True)
class Sampled:
    """Values by GenerationConfig's names, and the seed of the first choice."""

    values: Mapping[str, int | float | bool]
    seed: int
    ignore_eos: bool


def sampled(options: GenerateOptions, own: Sampling, *, bound: bool) -> Sampled:
    """What a request asks for, with what the model's own files say; ``bound``: its text follows a rule.

    Raises InvalidInput for values that cannot be, and for what the engine does not have.
    """
    asked = options.sampling
    _refuse_absent(asked)
    found = {name: _first(name, usual, asked, own) for name, usual in _USUAL.items()}
    for name, (least, most) in _LIMITS.items():
        if not least <= found[name] <= most:
            msg = f"{name} is {found[name]:g}; it can be {least:g} to {most:g}"
            raise InvalidInput(msg, param=name)
    penalties = {
        "repetition_penalty": found["repeat_penalty"] or 1.0,  # LocalAI's 0 is none
        "presence_penalty": found["presence_penalty"],
        "frequency_penalty": found["frequency_penalty"],
    }
    greedy = found["temperature"] < _COLDEST or found["top_p"] == 0 or found["min_p"] == 1
    plain = greedy and not bound and penalties["repetition_penalty"] == 1 and not any([*penalties.values()][1:])
    _refuse_alternatives(options.logprobs, plain=plain)
    values: dict[str, int | float | bool] = {"do_sample": not greedy, **penalties}
    if not greedy:
        values |= {name: found[name] for name in ("temperature", "top_p", "min_p")}
        if found["top_k"] > 0:
            values["top_k"] = min(int(found["top_k"]), _MOST_K)
    seed = -1 if asked.seed is None else asked.seed
    # A rule knows of one end, that of the text: behind it GenAI would go on without any.
    ignore_eos = bool(asked.ignore_eos) and not bound
    return Sampled(values, secrets.randbits(32) if seed < 0 else seed, ignore_eos)


def _first(name: str, usual: float, *said: Sampling) -> float:
    return next((float(value) for each in said if (value := getattr(each, name)) is not None), usual)


def _refuse_absent(asked: Sampling) -> None:
    if asked.logit_bias:
        msg = "OpenVINO GenAI has no logit_bias; leave it out, or run the model's safetensors by AutoModelForCausalLM"
        raise InvalidInput(msg, param="logit_bias")
    for name, nothing in _ABSENT.items():
        value = getattr(asked, name)
        if value is not None and value not in nothing:
            msg = f"OpenVINO GenAI has no {name}; leave it out, or run the model's safetensors by AutoModelForCausalLM"
            raise InvalidInput(msg, param=name)


def _refuse_alternatives(logprobs: int | None, *, plain: bool) -> None:
    if logprobs is None or logprobs == 0:
        return
    if logprobs < 0:
        msg = f"logprobs is {logprobs}; it can be 0 or more"
        raise InvalidInput(msg, param="logprobs")
    if logprobs > 1 or not plain:
        more = "; with temperature 0 and no penalties that is the likeliest one, too" if logprobs == 1 else ""
        msg = f"{_LIKELIEST}{more}; ask for no alternatives"
        raise InvalidInput(msg, param="top_logprobs")
