"""What requests for text have in common: how tokens are chosen, where text ends, and what it has to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from textmill.contract import Format, Sampling
from textmill.errors import InvalidInput
from textmill.http.failures import WrongShape
from textmill.tasks.grammars import check_grammar
from textmill.tasks.schemas import check_schema

MOST_CHOICES = 128
MOST_TEXTS = 1024
"""Texts of a request that are written at the same time."""
_MOST_STOPS = 64
_MOST_ALTERNATIVES = 20
_BIAS = 100.0

_MOST_INT = 2**31 - 1
_MOST_DIGITS = 10
Count = Annotated[int, Meta(ge=-1, le=_MOST_INT)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(ge=0)]


class StreamOptions(Struct, frozen=True):
    """What a stream has beside its text."""

    include_usage: Annotated[bool | None, Meta(description="Put an event with the usage behind the text.")] = None
    include_obfuscation: Annotated[object, Meta(description="Accepted and ignored.")] = None


class JsonSchema(Struct, frozen=True):
    """The schema of an answer, as OpenAI has it."""

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """What the answer has to be."""

    type: str
    json_schema: JsonSchema | None = None
    schema: Annotated[
        dict[str, Any] | None, Meta(description="With `json_object`: the schema, as llama.cpp has it.")
    ] = None
    value: Annotated[
        dict[str, Any] | None,
        Meta(description="As `schema`, which Hugging Face's client calls so, with `json` or `json_object`."),
    ] = None


class WritingRequest(Struct, frozen=True, kw_only=True):
    """How text is written. Null is the same as absent in every field, and means what the model's file says; unknown fields are ignored."""

    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    n: Annotated[Annotated[int, Meta(ge=0, le=MOST_CHOICES)] | None, Meta(description="How many choices; 0 is 1.")] = (
        None
    )
    max_tokens: Annotated[
        Count | None, Meta(description="Tokens of a choice at most; 0 or -1: up to the context's end.")
    ] = None
    stop: Annotated[str | list[str] | None, Meta(description="Texts at which a choice ends, before them.")] = None
    stream: Annotated[bool | None, Meta(description="Send text as it is written, as server-sent events.")] = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[Positive | None, Meta(description="0 takes the likeliest token.")] = None
    top_p: Share | None = None
    top_k: Count | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    seed: Annotated[
        Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None,
        Meta(description="The same seed chooses the same tokens; -1 is a new one each time."),
    ] = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    repeat_penalty: Positive | None = None
    repeat_last_n: Count | None = None
    mirostat: Annotated[int, Meta(ge=0, le=2)] | None = None
    mirostat_tau: Positive | None = None
    mirostat_eta: Positive | None = None
    n_keep: Count | None = None
    ignore_eos: bool | None = None
    logit_bias: Annotated[
        dict[str, float] | None, Meta(description="Token ids with what is added to their logits, from -100 to 100.")
    ] = None
    response_format: Annotated[
        Literal["text", "json_object"] | ResponseFormat | None,
        Meta(description="`text`, `json_object`, or `json_schema` with a schema that the answer fits."),
    ] = None
    grammar: Annotated[str | None, Meta(description="A GBNF grammar that the answer fits.")] = None
    backend: Annotated[str | None, Meta(description="LocalAI's: refused unless the model runs on it.")] = None
    user: Annotated[object, Meta(description="Accepted and ignored.")] = None


def sampling_of(request: WritingRequest) -> Sampling:
    """How tokens are chosen. Raises InvalidInput for a bias that is none."""
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        typical_p=request.typical_p,
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        repeat_penalty=request.repeat_penalty,
        repeat_last_n=request.repeat_last_n,
        mirostat=request.mirostat,
        mirostat_tau=request.mirostat_tau,
        mirostat_eta=request.mirostat_eta,
        n_keep=request.n_keep,
        ignore_eos=request.ignore_eos,
        logit_bias=_bias(request.logit_bias or {}),
    )


def _bias(given: Mapping[str, float]) -> Mapping[int, float]:
    for key, value in given.items():
        if not (key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS):
            msg = f'logit_bias has the key {key[:40]!r}; its keys are token ids, such as "1234"'
            raise InvalidInput(msg, param="logit_bias")
        if not -_BIAS <= value <= _BIAS:
            msg = f"logit_bias of token {key[:40]} is {value}; it may be from -100 to 100"
            raise InvalidInput(msg, param="logit_bias")
    return {int(key): value for key, value in given.items()}


def stops_of(request: WritingRequest) -> tuple[str, ...]:
    """The texts at which a choice ends. Raises InvalidInput for an empty one, and for very many."""
    given = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if len(given) > _MOST_STOPS:
        msg = f"stop has {len(given)} texts; at most {_MOST_STOPS} go"
        raise InvalidInput(msg, param="stop")
    if "" in given:
        msg = "stop has an empty text, which is everywhere; leave it out"
        raise InvalidInput(msg, param="stop")
    return tuple(given)


def limit_of(tokens: int | None) -> int | None:
    """The tokens of a choice at most, -1 up to the context's end; None where the request does not say."""
    return -1 if tokens is not None and tokens <= 0 else tokens


def alternatives_of(logprobs: bool | int | None, top: int | None) -> int | None:  # noqa: FBT001 - the wire's own kind
    """How many alternatives each token is told with. Raises InvalidInput for too many, and for some where none are asked for."""
    number = 0 if isinstance(logprobs, bool) or logprobs is None else logprobs
    if top is not None and not logprobs:
        msg = "top_logprobs needs logprobs to be true"
        raise InvalidInput(msg, param="top_logprobs")
    wanted = number if top is None else top
    if not 0 <= wanted <= _MOST_ALTERNATIVES:
        msg = f"{wanted} alternatives a token are too many or too few; from 0 to {_MOST_ALTERNATIVES} go"
        raise InvalidInput(msg, param="logprobs" if top is None else "top_logprobs")
    return None if logprobs is None or logprobs is False else wanted


def format_of(request: WritingRequest) -> Format | None:
    """What the text has to be; None for anything. Raises InvalidInput for two kinds at once, and for a schema that is none."""
    wanted = request.response_format
    made = None
    if wanted == "json_object":
        made = Format("json_object")
    elif isinstance(wanted, ResponseFormat):
        made = _formatted(wanted)
    if request.grammar:
        if made is not None:
            msg = "give either 'grammar' or 'response_format', not both"
            raise InvalidInput(msg, param="grammar")
        check_grammar(request.grammar, "grammar")
        return Format("grammar", request.grammar)
    return made


def _formatted(wanted: ResponseFormat) -> Format | None:
    if wanted.type == "text":
        return None
    if wanted.type in ("json_object", "json"):
        name = "schema" if wanted.value is None else "value"
        schema = getattr(wanted, name)
        return Format("json_object") if schema is None else schema_format(schema, f"response_format.{name}")
    if wanted.type != "json_schema":
        msg = f"response_format.type is {wanted.type[:40]!r}; it may be text, json_object or json_schema"
        raise InvalidInput(msg, param="response_format")
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        msg = "response_format has no json_schema.schema; with the type json_schema it must"
        raise WrongShape(msg, param="response_format")
    return schema_format(wanted.json_schema.schema, "response_format.json_schema.schema")


def schema_format(schema: Mapping[str, Any], path: str) -> Format:
    """JSON that fits a schema. Raises InvalidInput for one that no grammar can be made of."""
    check_schema(schema, path)
    return Format("json_schema", json.dumps(schema, ensure_ascii=False))
