"""How Ollama's requests have text written: `options`, `format`, `think` and `stop`, as what models take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from textmill.contract import Format
from textmill.errors import InvalidInput
from textmill.http.ollama_dialect import KeepAlive, ModelName
from textmill.http.writing import (
    Positive,
    Share,
    WritingRequest,
    alternatives_of,
    limit_of,
    sampling_of,
    schema_format,
    stops_of,
)

_MOST = 2**31 - 1
_EXACT = 2**53
Whole = Annotated[int, Meta(ge=-1, le=_MOST)] | Annotated[float, Meta(ge=-1, le=_MOST)]
"""Ollama takes 40.0 for 40."""

_EFFORTS = {False: "none", True: "medium", "max": "high"}
"""Ollama's own: thinking that is only switched on is of medium effort."""


class OllamaOptions(Struct, frozen=True, kw_only=True):
    """How tokens are chosen. Null is the same as absent, and means what the model's file says.

    Others of Ollama's, such as `num_ctx` and `num_gpu`, are accepted and ignored: the model is loaded as its file says.
    """

    num_predict: Annotated[
        Annotated[int, Meta(ge=-2, le=_MOST)] | Annotated[float, Meta(ge=-2, le=_MOST)] | None,
        Meta(description="Tokens at most; 0, -1 and -2: up to the context's end."),
    ] = None
    temperature: Annotated[Positive | None, Meta(description="0 takes the likeliest token.")] = None
    top_k: Whole | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    seed: Annotated[
        Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=-_EXACT, le=_EXACT)] | None,
        Meta(description="The same seed chooses the same tokens; -1 is a new one each time."),
    ] = None
    stop: Annotated[str | list[str] | None, Meta(description="Texts at which the answer ends, before them.")] = None
    repeat_penalty: Positive | None = None
    repeat_last_n: Whole | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    mirostat: Annotated[int, Meta(ge=0, le=2)] | Annotated[float, Meta(ge=0, le=2)] | None = None
    mirostat_tau: Positive | None = None
    mirostat_eta: Positive | None = None
    num_keep: Whole | None = None


class OllamaWriting(Struct, frozen=True, kw_only=True):
    """What requests for text have in common. Null is the same as absent in every field; unknown fields are ignored."""

    model: ModelName = None
    stream: Annotated[
        bool | None, Meta(description="Send text as it is written, a line each time: so unless it is false.")
    ] = None
    format: Annotated[
        str | dict[str, Any] | None, Meta(description="`json`, or a JSON schema that the answer fits.")
    ] = None
    options: OllamaOptions | None = None
    think: Annotated[
        bool | Literal["low", "medium", "high", "max"] | None,
        Meta(description="Whether and how much the model reasons, where it can; absent means its own way."),
    ] = None
    keep_alive: KeepAlive = None
    logprobs: Annotated[bool | None, Meta(description="Tell each token's log-probability.")] = None
    top_logprobs: Annotated[
        Annotated[int, Meta(ge=0, le=20)] | None,
        Meta(description="With that many alternatives, where `logprobs` is true."),
    ] = None
    truncate: Annotated[object, Meta(description="Accepted and ignored: what is too long is refused.")] = None
    shift: Annotated[object, Meta(description="Accepted and ignored: text ends where the context does.")] = None


def generate_options(request: OllamaWriting) -> dict[str, Any]:
    """The fields of `GenerateOptions`. Raises InvalidInput for stops, formats and schemas that cannot be."""
    given = request.options or OllamaOptions()
    limit = _whole(given.num_predict)
    asked = WritingRequest(
        stop=given.stop,
        temperature=given.temperature,
        top_p=given.top_p,
        top_k=_whole(given.top_k),
        min_p=given.min_p,
        typical_p=given.typical_p,
        seed=_whole(given.seed),
        presence_penalty=given.presence_penalty,
        frequency_penalty=given.frequency_penalty,
        repeat_penalty=given.repeat_penalty,
        repeat_last_n=_whole(given.repeat_last_n),
        mirostat=_whole(given.mirostat),
        mirostat_tau=given.mirostat_tau,
        mirostat_eta=given.mirostat_eta,
        n_keep=_whole(given.num_keep),
    )
    return {
        "max_tokens": limit_of(limit),
        "stop": stops_of(asked),
        "sampling": sampling_of(asked),
        "format": _format(request.format),
        "logprobs": alternatives_of(request.logprobs, request.top_logprobs) if request.logprobs else None,
    }


def effort_of(think: bool | str | None) -> str | None:  # noqa: FBT001 - the wire's own kind
    """How much the model reasons; None where the request does not say."""
    return None if think is None else _EFFORTS.get(think, str(think))


def _format(wanted: str | dict[str, Any] | None) -> Format | None:
    """What the text has to be; None for anything."""
    if isinstance(wanted, dict):
        return schema_format(wanted, "format")
    if wanted not in (None, "", "json"):
        msg = f"format is {wanted[:40]!r}; it may be 'json' or a JSON schema"
        raise InvalidInput(msg, param="format")
    return Format("json_object") if wanted else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
