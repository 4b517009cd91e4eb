"""A model that a server of OpenAI's protocol runs: it writes, embeds and reranks, as far as that server can."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Embeddings,
    EmbedOptions,
    Event,
    Input,
    Message,
    ModelInfo,
    RerankOptions,
    Scores,
    TextOptions,
    Timings,
)
from textmill.errors import ForwardFailed, InvalidInput, WrongTask
from textmill.providers.openai_fields import Odd, count, finite, table, tables
from textmill.providers.openai_speech import Speech
from textmill.providers.openai_wire import Wire
from textmill.providers.openai_writer import Writer
from textmill.providers.writes import Writes
from textmill.tasks.norms import EUCLID, NONE, scaled
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing

Floats = npt.NDArray[np.float32]

_AT_ONCE = 4
"""Requests of one call that are with the server at the same time."""
_MOST_ID = 2**31 - 1
_TEXTS = TextProfile(prompts={}, default_prompt="", max_tokens=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the server is asked: ``name`` is what it calls the model, ``inputs`` are embedded in one request, and come as ``base64``.

    ``norm`` is how vectors are scaled where a request does not say, None for as they come.
    """

    name: str
    inputs: int = 64
    base64: bool = False
    norm: int | None = None


class Server(Protocol):
    """A server that is there, or is brought up again."""

    @property
    def ready(self) -> bool:
        """Whether it can answer, as far as is known."""
        ...

    async def wire(self) -> Wire:
        """The way there, once it is up. Raises LoadFailed where it does not come up, Unavailable once it is closed."""
        ...

    def close(self) -> None:
        """Let go of it; blocks. Any thread may call it, and again."""
        ...


class Elsewhere:
    """A `Server` that somebody else runs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether it is not closed: nobody knows more."""
        return not self._closed

    async def wire(self) -> Wire:
        """The way there."""
        return self._wire

    def close(self) -> None:
        """Close connections."""
        self._closed = True
        self._wire.close_soon()


class OpenAIModel(Writes):
    """Such a model, for one event loop, on a server of the kind ``speech``; see `textmill.store.served.Served`."""

    def __init__(self, info: ModelInfo, server: Server, speech: Speech, asking: Asking) -> None:
        self.info = info
        self._server = server
        self._speech = speech
        self._asking = asking
        self._under_way = 0

    @property
    def ready(self) -> bool:
        """Whether it can answer, as far as is known here."""
        return self._server.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Nothing waits here: the server has its own line."""
        return 0, 0

    def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event, None]:
        """What the server's model says."""
        return self._written(lambda writer: writer.chat(messages, options))

    def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """What comes behind a prompt."""
        return self._written(lambda writer: writer.complete(prompt, options))

    def rewrite(self, text: str, instruction: str, options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """A text as an instruction wants it: one turn of a conversation, which every server has."""
        asked = (Message(role="system", content=instruction), Message(role="user", content=text))
        return self._written(lambda writer: writer.chat(asked, _as_chat(options)))

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The vectors of the inputs, as the server gives them; cut ones at length one."""
        self._need("embed")
        refuse_nothing(inputs)
        prompt = _prompt(options)
        self._refuse_own(options)
        groups = list(_groups([_input(item, prompt, index) for index, item in enumerate(inputs)], self._asking.inputs))
        began = time.perf_counter()
        made = await self._each(groups)
        vectors = np.concatenate([vectors for vectors, _ in made])
        width = self.info.dimensions
        if vectors.shape[1] != width:
            msg = f"the server of {self.info.name} gave vectors of {vectors.shape[1]} values, and its model's have {width}"
            raise ForwardFailed(msg)
        return Embeddings(
            vectors=scaled(vectors[:, : options.dimensions], self._norm(options)),
            tokens=tuple(count for _, counts in made for count in counts),
            truncated=(False,) * len(inputs),
            timings=Timings(inference=time.perf_counter() - began),
        )

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The scores of the texts as the server gives them."""
        self._need("rerank")
        refuse_nothing(texts)
        _prompt(options)
        if options.instruction is not None:
            msg = f"{self.info.name} takes no instruction; leave it out"
            raise InvalidInput(msg, param="instruction")
        body = {"query": query, "documents": list(texts), "top_n": len(texts), "return_documents": False}
        began = time.perf_counter()
        with self._counting():
            wire = await self._server.wire()
            told = await wire.post("/rerank", {"model": self._asking.name, **body})
        return Scores(
            scores=_scores(told, len(texts), wire.server.title),
            tokens=_shares(told, len(texts), wire.server.title),
            truncated=(False,) * len(texts),
            timings=Timings(inference=time.perf_counter() - began),
        )

    def close(self, drain_s: float = 10.0) -> None:
        """Let what is under way end for at most ``drain_s`` seconds, close connections; blocks."""
        end = time.monotonic() + drain_s
        while self._under_way and time.monotonic() < end:
            time.sleep(0.02)
        self._server.close()

    async def probe(self) -> int:
        """The width of the model's vectors, by embedding a text; for whoever makes the model. Raises as the verb does."""
        vectors, _ = await self._embedded(["The mill turns."])
        return int(vectors.shape[1])

    def _counting(self) -> _Under:
        return _Under(self)

    async def _written(self, write: Callable[[Writer], AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
        with self._counting():
            writer = Writer(await self._server.wire(), self._speech, self._asking.name)
            async with aclosing(write(writer)) as events:
                async for event in events:
                    yield event

    async def _each(self, groups: Sequence[list[Any]]) -> list[tuple[Floats, tuple[int, ...]]]:
        """The vectors of groups in their order, some asked at once; the first error ends the others."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(group: list[Any]) -> tuple[Floats, tuple[int, ...]]:
            async with places:
                return await self._embedded(group)

        with self._counting():
            if len(groups) == 1:
                return [await self._embedded(groups[0])]
            try:
                async with asyncio.TaskGroup() as tasks:
                    made = [tasks.create_task(one(group)) for group in groups]
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from None
        return [task.result() for task in made]

    async def _embedded(self, group: list[Any]) -> tuple[Floats, tuple[int, ...]]:
        """The vectors (inputs, width) of one request, and the tokens of each."""
        body: dict[str, Any] = {"model": self._asking.name, "input": group}
        if self._asking.base64:
            body["encoding_format"] = "base64"
        wire = await self._server.wire()
        told = await wire.post("/embeddings", body)
        server = wire.server.title
        return _vectors(told, len(group), server), _shares(told, len(group), server)

    def _norm(self, options: EmbedOptions) -> int:
        if options.normalize is not None:
            return EUCLID if options.normalize else NONE
        cut = options.dimensions is not None and options.dimensions < self.info.dimensions
        return self._asking.norm if self._asking.norm is not None else EUCLID if cut else NONE

    def _refuse_own(self, options: EmbedOptions) -> None:
        """Raise InvalidInput for what only models here have."""
        if options.adapter is not None:
            msg = f"{self.info.name} has no adapters"
            raise InvalidInput(msg, param="adapter")
        if options.chunking is not None:
            msg = f"{self.info.name} runs elsewhere, where its texts cannot be parted into chunks; send them in parts"
            raise WrongTask(msg)
        if options.pooling is not None or options.half_life is not None:
            msg = f"{self.info.name} runs elsewhere and is pooled there; leave pooling out"
            raise InvalidInput(msg, param="pooling")
        width = self.info.dimensions
        if options.dimensions is not None and not 1 <= options.dimensions <= width:
            msg = f"dimensions is {options.dimensions}; this model gives 1 to {width}"
            raise InvalidInput(msg, param="dimensions")


class _Under:
    """Counts a call as under way while it lasts."""

    def __init__(self, model: OpenAIModel) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._model._under_way += 1  # noqa: SLF001 - of this module

    def __exit__(self, *_: object) -> None:
        self._model._under_way -= 1  # noqa: SLF001 - of this module


def _as_chat(options: CompleteOptions) -> ChatOptions:
    return ChatOptions(
        n=options.n,
        max_tokens=options.max_tokens,
        stop=options.stop,
        sampling=options.sampling,
        format=options.format,
        logprobs=options.logprobs,
    )


def _prompt(options: TextOptions) -> str:
    """What goes in front of texts. Raises InvalidInput for what only models here have."""
    if options.truncate_side == "left":
        msg = "a model that runs elsewhere is cut as its server does it; leave the side out"
        raise InvalidInput(msg, param="truncation_direction")
    return prompt_of(_TEXTS, options)


def _input(item: Input, prompt: str, index: int) -> str | list[int]:
    if isinstance(item, str):
        return prompt + item
    if prompt:
        msg = f"input {index} has token ids, and a prompt goes in front of texts only"
        raise InvalidInput(msg, index=index)
    if not len(item) or any(isinstance(each, bool) or not 0 <= each <= _MOST_ID for each in item):
        msg = f"input {index} must have token ids, which are whole numbers from 0 to {_MOST_ID}"
        raise InvalidInput(msg, index=index)
    return [int(each) for each in item]


def _groups(inputs: Sequence[str | list[int]], most: int) -> Iterator[list[str | list[int]]]:
    """Inputs in groups that can go in one request: of texts, or of ids, and no more than ``most``."""
    group: list[str | list[int]] = []
    for item in inputs:
        if group and (len(group) == most or isinstance(item, str) != isinstance(group[0], str)):
            yield group
            group = []
        group.append(item)
    yield group


def _vectors(told: Mapping[str, Any], inputs: int, server: str) -> Floats:
    """The vectors (inputs, width) of an answer by their numbers. Raises ForwardFailed where one is missing, or is none."""
    data = told.get("data")
    if not isinstance(data, list) or len(data) != inputs:
        msg = f"{server} gave {len(data) if isinstance(data, list) else 'no'} vectors in data for {inputs} inputs"
        raise ForwardFailed(msg)
    rows: list[Floats | None] = [None] * inputs
    try:
        for place, each in enumerate(tables(told, "data")):
            rows[place if each.get("index") is None else count(each, "index")] = _vector(each.get("embedding"))
        vectors = np.stack([row for row in rows if row is not None])
    except Odd as odd:
        msg = f"{server} {odd}"
        raise ForwardFailed(msg) from None
    except (IndexError, ValueError, OverflowError):
        vectors = np.empty((0, 0), np.float32)
    if vectors.shape[0] != inputs or not vectors.size or not np.isfinite(vectors).all():
        msg = f"{server} gave vectors in data that are missing, of several lengths, or no numbers"
        raise ForwardFailed(msg)
    return vectors


def _vector(told: Any) -> Floats:
    """One vector; raises Odd for what has other things than numbers, ValueError for what is no vector otherwise."""
    if isinstance(told, str):
        return np.frombuffer(base64.b64decode(told, validate=True), "<f4").astype(np.float32)
    vector = np.asarray(told if isinstance(told, list) else None)
    if vector.ndim != 1 or vector.dtype.kind not in "iuf":
        raise Odd(name="embedding", wanted="a list of numbers, or base64 of them", value=told)
    with np.errstate(over="ignore"):  # what is too large is infinite, which is refused
        return vector.astype(np.float32)


def _shares(told: Mapping[str, Any], inputs: int, server: str) -> tuple[int, ...]:
    """The tokens of each input: the server tells their sum only, and 0 where it tells nothing."""
    try:
        usage = table(told, "usage")
        total = count(usage, "prompt_tokens") or count(usage, "total_tokens")
    except Odd as odd:
        msg = f"{server} {odd}"
        raise ForwardFailed(msg) from None
    share, rest = divmod(total, inputs)
    return tuple(share + (index < rest) for index in range(inputs))


def _scores(told: Mapping[str, Any], texts: int, server: str) -> Floats:
    """A score for each text; raises ForwardFailed where one has none, or several, or no number."""
    scores = np.full(texts, np.nan, np.float32)
    try:
        for each in tables(told, "results"):
            place = count(each, "index")
            if place >= texts or not np.isnan(scores[place]):
                break
            name = "relevance_score" if "relevance_score" in each else "score"
            with np.errstate(over="ignore"):  # as in a vector
                scores[place] = finite(each.get(name), name)
        else:
            if np.isfinite(scores).all():
                return scores
    except Odd as odd:
        msg = f"{server} {odd}"
        raise ForwardFailed(msg) from None
    msg = f"{server} did not give one score in results for each of {texts} texts"
    raise ForwardFailed(msg)
