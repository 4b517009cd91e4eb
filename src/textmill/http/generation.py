"""Text generation as Hugging Face's clients ask for it: `inputs` and `parameters`, answered as a whole or token by token."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from msgspec import Meta, Struct

from textmill.contract import CompleteOptions, Ended, Event, Piece, Sampling, Spent
from textmill.errors import EmptyInput, InvalidInput, WrongTask
from textmill.http.answer import Answer, Streamed
from textmill.http.service import Model, Service
from textmill.http.stream import event
from textmill.http.tei_dialect import ModelName
from textmill.http.written import watched, written

_USUAL_TOKENS = 100
"""As Text Generation Inference has it where a request says nothing."""
_MOST_TOKENS = 2**31 - 1
_MOST_STOPS = 64

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]


class GenerationParameters(Struct, frozen=True):
    """How text is written. Null is the same as absent in every field; unknown fields are ignored."""

    max_new_tokens: Annotated[int, Meta(ge=1, le=_MOST_TOKENS)] | None = None
    do_sample: bool | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_k: Annotated[int, Meta(ge=1, le=_MOST_TOKENS)] | None = None
    top_p: Share | None = None
    typical_p: Share | None = None
    repetition_penalty: Positive | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    stop: list[str] | None = None
    stop_sequences: list[str] | None = None
    return_full_text: bool | None = None
    details: bool | None = None


class GenerationRequest(Struct, frozen=True):
    """A text that is to go on."""

    inputs: str
    parameters: GenerationParameters | None = None
    stream: bool | None = None
    model: ModelName = None


async def generate(service: Service, request: GenerationRequest) -> Answer | Streamed:
    """The text that a model writes behind the inputs, in a list of one; as a stream, an event for each piece, the last with all text."""
    model = await service.model(request.model, "complete")
    if "complete" not in model.info.tasks:
        msg = f"{model.info.name} does not write text, it can {', '.join(model.info.tasks)}"
        raise WrongTask(msg)
    if not request.inputs:
        msg = "'inputs' is an empty text; there is nothing to go on with"
        raise EmptyInput(msg, param="inputs")
    how = request.parameters or GenerationParameters()
    options = _options(how)
    before = request.inputs if how.return_full_text else ""
    events = watched(service, model, model.complete(request.inputs, options))
    if request.stream:
        return Streamed(_stream(events, before))
    made = await written(events, 1)
    said: dict[str, Any] = {"generated_text": before + made.choices[0].text}
    if how.details:
        said["details"] = _details(made.choices[0].reason, made.spent.completion_tokens, how.seed)
    return Answer(orjson.dumps([said]), model=model.info.name)


def _options(how: GenerationParameters) -> CompleteOptions:
    """How the text goes on: by the likeliest tokens, unless something is said of how to choose them. Raises InvalidInput."""
    stops = (*(how.stop or ()), *(how.stop_sequences or ()))
    if "" in stops:
        msg = "parameters.stop has an empty text, which is everywhere; leave it out"
        raise InvalidInput(msg, param="parameters")
    if len(stops) > _MOST_STOPS:
        msg = f"parameters.stop has {len(stops)} texts; at most {_MOST_STOPS} go"
        raise InvalidInput(msg, param="parameters")
    chooses = how.do_sample or any(each is not None for each in (how.top_k, how.top_p, how.typical_p))
    return CompleteOptions(
        max_tokens=how.max_new_tokens or _USUAL_TOKENS,
        stop=stops,
        sampling=Sampling(
            temperature=0.0 if how.temperature is None and not chooses else how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            typical_p=how.typical_p,
            seed=how.seed,
            repeat_penalty=how.repetition_penalty,
            frequency_penalty=how.frequency_penalty,
        ),
    )


async def _stream(events: AsyncGenerator[Event], before: str) -> AsyncGenerator[bytes]:
    """An event for each piece of text, and behind the last one with an empty token, all text, and why it ended."""
    texts, reason, index = [before], "stop", 0
    async with aclosing(events):
        async for each in events:
            if isinstance(each, Piece) and each.text:
                index += 1
                texts.append(each.text)
                yield event(orjson.dumps(_told(index, each.text)))
            elif isinstance(each, Ended):
                reason = each.reason
            elif isinstance(each, Spent):
                last = _told(index + 1, "") | {
                    "generated_text": "".join(texts),
                    "details": _details(reason, each.completion_tokens, None) | {"input_length": each.prompt_tokens},
                }
                yield event(orjson.dumps(last))


def _told(index: int, text: str) -> dict[str, Any]:
    """A piece as a token; engines do not tell every token's id and log-probability."""
    token = {"id": 0, "text": text, "logprob": 0.0, "special": not text}
    return {"index": index, "token": token, "generated_text": None, "details": None}


def _details(reason: str, tokens: int, seed: int | None) -> dict[str, Any]:
    finish = "length" if reason == "length" else "eos_token"
    return {"finish_reason": finish, "generated_tokens": tokens, "seed": seed, "prefill": [], "tokens": []}


def writes_only(model: Model) -> bool:
    """Whether a model writes text and does nothing else that takes inputs."""
    tasks = model.info.tasks
    return "complete" in tasks and not {"embed", "embed_sparse", "classify", "rerank"} & set(tasks)
