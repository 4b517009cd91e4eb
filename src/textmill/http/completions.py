"""/v1/completions: prompts go on, as OpenAI's older route and LocalAI have it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import CompleteOptions, Ended, Piece, Spent, TokenLogprob
from textmill.errors import EmptyInput, InvalidInput
from textmill.http.answer import Answer, Streamed
from textmill.http.backend import check_backend
from textmill.http.chat import FAILURES, WritingUsage, usage
from textmill.http.framing import EVENTS
from textmill.http.inputs import TokenId, check_count
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Model, Service
from textmill.http.stream import event
from textmill.http.writing import (
    MOST_CHOICES,
    MOST_TEXTS,
    WritingRequest,
    alternatives_of,
    format_of,
    limit_of,
    sampling_of,
    stops_of,
)
from textmill.http.written import Choice, Written, watched
from textmill.tasks.merge import merged

Prompt = str | list[int]


class CompletionRequest(WritingRequest, frozen=True, kw_only=True):
    """Texts that are to go on."""

    prompt: Annotated[
        str | list[str | TokenId | list[TokenId]] | None,
        Meta(description="A text, a list of texts, the model's own token ids of one text, or a list of such lists."),
    ] = None
    suffix: Annotated[str | None, Meta(description="What comes behind; for models that fill in the middle.")] = None
    echo: Annotated[bool | None, Meta(description="Put the prompt in front of each text.")] = None
    best_of: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None,
        Meta(description="Write so many choices, and give the `n` whose tokens are likeliest; not in streams."),
    ] = None
    logprobs: Annotated[
        bool | int | None, Meta(description="Tell each token's log-probability, with that many alternatives.")
    ] = None


class CompletionChoice(Struct, frozen=True):
    """One text; those of the second prompt come behind those of the first."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: Annotated[
        dict[str, Any] | None,
        Meta(description="`tokens`, `token_logprobs`, `top_logprobs` and `text_offset`, lists of one length."),
    ]


class CompletionAnswer(Struct, frozen=True):
    """The texts; a stream is events of the same object, and `[DONE]` at last."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: WritingUsage


async def complete(service: Service, request: CompletionRequest) -> Answer | Streamed:
    """POST /v1/completions."""
    prompts, options = _prompts(service, request), _options(request)
    if request.stream:
        return Streamed(_events(service, request, prompts, options))
    model = await _model(service, request)
    with service.computing(model) as placed:
        made = [Written([Choice() for _ in range(options.n)]) for _ in prompts]
        sources = [watched(placed, model, model.complete(prompt, options)) for prompt in prompts]
        async with aclosing(merged(sources)) as events:
            async for number, each in events:
                made[number].take(each)
    choices = [
        choice
        for number, (prompt, texts) in enumerate(zip(prompts, made, strict=True))
        for choice in _choices(request, number, prompt, texts)
    ]
    body = _head(model) | {"choices": choices, "usage": usage(summed([each.spent for each in made]))}
    return Answer(orjson.dumps(body), model=model.info.name)


async def _model(service: Service, request: CompletionRequest) -> Model:
    model = await service.model(request.model, "complete")
    check_backend(request.backend, model.info)
    return model


def _prompts(service: Service, request: CompletionRequest) -> list[Prompt]:
    """The prompts. Raises EmptyInput for none, InvalidInput for a list that mixes ids with others."""
    given = request.prompt
    if given is None or given == []:
        msg = "'prompt' is missing; give a text, or a list of them"
        raise EmptyInput(msg, param="prompt")
    if isinstance(given, str):
        return [given]
    ids = [each for each in given if isinstance(each, int)]
    if ids and len(ids) < len(given):
        msg = "'prompt' mixes token ids with texts or lists; give the ids of one text, or a list for each text"
        raise InvalidInput(msg, param="prompt")
    prompts: list[Prompt] = [ids] if ids else [each for each in given if not isinstance(each, int)]
    check_count("prompt", len(prompts), min(service.settings.max_inputs, MOST_TEXTS))
    if [] in prompts:
        msg = f"prompt[{prompts.index([])}] is an empty list of token ids"
        raise EmptyInput(msg, param="prompt")
    return prompts


def _options(request: CompletionRequest) -> CompleteOptions:
    """How prompts go on. Raises InvalidInput for what cannot be had together."""
    n = request.n or 1
    alternatives = alternatives_of(request.logprobs, None)
    if request.best_of is not None:
        if request.best_of < n:
            msg = f"best_of is {request.best_of}, and n is {n}; the best n of fewer there are not"
            raise InvalidInput(msg, param="best_of")
        if request.stream and request.best_of > n:
            msg = "best_of needs whole texts to compare; leave out 'stream', or best_of"
            raise InvalidInput(msg, param="best_of")
        if request.best_of > n:
            n, alternatives = request.best_of, alternatives or 0
    if request.echo and _wants_logprobs(request):
        msg = "log-probabilities are known of what is written, not of the prompt; leave out 'echo' or 'logprobs'"
        raise InvalidInput(msg, param="logprobs")
    return CompleteOptions(
        n=n,
        max_tokens=limit_of(request.max_tokens),
        stop=stops_of(request),
        sampling=sampling_of(request),
        format=format_of(request),
        logprobs=alternatives,
        suffix=request.suffix or None,
    )


def _head(model: Model) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.info.name,
        "system_fingerprint": model.info.fingerprint,
    }


def _choices(request: CompletionRequest, number: int, prompt: Prompt, made: Written) -> list[dict[str, Any]]:
    """The choices of a prompt, the likeliest first where the best are wanted."""
    n = request.n or 1
    found = made.choices
    if len(found) > n:
        found = sorted(found, key=_likelihood, reverse=True)[:n]
    before = prompt if request.echo and isinstance(prompt, str) else ""
    return [
        {
            "index": number * n + index,
            "text": before + each.text,
            "logprobs": None if not _wants_logprobs(request) else _told(each.logprobs, 0),
            "finish_reason": _reason(each.reason),
        }
        for index, each in enumerate(found)
    ]


def _wants_logprobs(request: CompletionRequest) -> bool:
    return request.logprobs is not None and request.logprobs is not False


def _likelihood(choice: Choice) -> float:
    """The mean log-probability of a choice's tokens."""
    return sum(each.token.logprob for each in choice.logprobs) / max(1, len(choice.logprobs))


def _reason(reason: str) -> str:
    return "length" if reason == "length" else "stop"


def _told(logprobs: Sequence[TokenLogprob], offset: int) -> dict[str, list[Any]]:
    """Tokens as completions tell them; the first stands ``offset`` characters from the text's beginning."""
    tokens = [each.token.text for each in logprobs]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [each.token.logprob for each in logprobs],
        "top_logprobs": [{other.text: other.logprob for other in each.top} for each in logprobs],
        "text_offset": offsets,
    }


def summed(spent: Sequence[Spent]) -> Spent:
    """What several calls took together."""
    return Spent(
        prompt_tokens=sum(each.prompt_tokens for each in spent),
        completion_tokens=sum(each.completion_tokens for each in spent),
        cached=sum(each.cached for each in spent),
    )


async def _events(
    service: Service, request: CompletionRequest, prompts: Sequence[Prompt], options: CompleteOptions
) -> AsyncGenerator[bytes]:
    """The events of a stream; the model is loaded within it, so that the client hears of it meanwhile."""
    model = await _model(service, request)
    chunks = _Chunks(_head(model), request, prompts, options)
    with service.computing(model) as placed:
        sources = [watched(placed, model, model.complete(prompt, options)) for prompt in prompts]
        async with aclosing(merged(sources)) as events:
            async for number, each in events:
                for made in chunks.of(number, each):
                    yield made
    if chunks.last is not None:
        yield chunks.last


class _Chunks:
    """Turns what comes into chunks; the echo before a choice's first piece, its reason behind the last."""

    def __init__(
        self, head: dict[str, Any], request: CompletionRequest, prompts: Sequence[Prompt], options: CompleteOptions
    ) -> None:
        self._head = orjson.dumps(head)[:-1] + b',"choices":['
        asked = request.stream_options
        self._usage = asked is not None and bool(asked.include_usage)
        self._tail = b'],"usage":null}' if self._usage else b"]}"
        self._n = options.n
        self._logprobs = _wants_logprobs(request)
        self._unsaid = {
            number * self._n + choice: prompt
            for number, prompt in enumerate(prompts)
            if request.echo and isinstance(prompt, str) and prompt
            for choice in range(self._n)
        }
        self._offsets: dict[int, int] = {}
        self._spent: list[Spent] = []

    def of(self, number: int, each: Piece | Ended | Spent) -> list[bytes]:
        if isinstance(each, Spent):
            self._spent.append(each)
            return []
        index = number * self._n + each.choice
        made = []
        if (prompt := self._unsaid.pop(index, None)) is not None:
            made.append(self._chunk(index, prompt))
        if isinstance(each, Ended):
            made.append(self._chunk(index, "", reason=_reason(each.reason)))
        elif each.text or each.logprobs:
            made.append(self._chunk(index, each.text, logprobs=each.logprobs))
            self._offsets[index] = self._offsets.get(index, 0) + len(each.text)
        return made

    @property
    def last(self) -> bytes | None:
        """The event with the usage of all prompts, where it is wanted."""
        if not self._usage:
            return None
        return event(self._head + b'],"usage":' + orjson.dumps(usage(summed(self._spent))) + b"}")

    def _chunk(
        self, index: int, text: str, *, logprobs: Sequence[TokenLogprob] = (), reason: str | None = None
    ) -> bytes:
        told = _told(logprobs, self._offsets.get(index, 0)) if self._logprobs and logprobs else None
        choice = {"index": index, "text": text, "logprobs": told, "finish_reason": reason}
        return event(self._head + orjson.dumps(choice) + self._tail)


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/completions", "/completions", "/v1/engines/{model:path}/completions"),
        dialect=OPENAI,
        handle=complete,
        takes=CompletionRequest,
        gives=CompletionAnswer,
        summary="Go on with texts (OpenAI)",
        description="Several prompts are written at the same time, as far as the model has slots for them.",
        example={"prompt": "The mill turns by the", "max_tokens": 5},
        answers_with={
            "id": "cmpl-8d0a4c3f",
            "object": "text_completion",
            "created": 1_795_744_325,
            "model": "qwen3",
            "system_fingerprint": "f00d",
            "choices": [{"index": 0, "text": " river.", "logprobs": None, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 6,
                "completion_tokens": 3,
                "total_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        },
        statuses=FAILURES,
        streams=EVENTS,
    ),
)
