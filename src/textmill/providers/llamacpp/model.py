"""A model that llama.cpp runs, with the verbs that it is for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Embeddings,
    EmbedOptions,
    Event,
    GenerateOptions,
    Input,
    Message,
    ModelInfo,
    RerankOptions,
    Scores,
    TextOptions,
    Timings,
    Token,
    TokenizeOptions,
)
from textmill.errors import ContextExceeded, EmptyInput, InvalidInput, WrongTask
from textmill.providers.llamacpp.bound import Grammars, bound_chat, guided, kept
from textmill.providers.llamacpp.line import Line
from textmill.providers.llamacpp.supervised import Call, Session, Supervised
from textmill.providers.llamacpp.tokens import Frame, checked, cut, decode, ids_of, may_be_long, tokenize
from textmill.providers.llamacpp.vectors import Floats, pooled, scores_of, states_of, vector_of
from textmill.providers.openai_speech import LLAMA_CPP, Speech
from textmill.providers.openai_writer import Writer
from textmill.providers.writes import Writes
from textmill.tasks.norms import EUCLID, NONE
from textmill.tasks.states import StatePooling, state_pooling
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing

R = TypeVar("R")
T = TypeVar("T")

_SPEECH = replace(LLAMA_CPP, more=MappingProxyType({}))
"""Whether prompts are cached is a setting of the process."""
_TEXTS = TextProfile(prompts={}, default_prompt="", max_tokens=0)
_NO_FRAME = Frame()
_MEAN = StatePooling("mean", 1)
_MOST_MESSAGES = 10_000
"""llama.cpp fills a template in a time that grows with the square of its messages: 14 s for 16,000, after 30 s it counts as hung."""


@dataclass(frozen=True, slots=True)
class Way:
    """What is fixed when a model loads.

    ``frame`` are the special tokens around its texts, ``states`` says that the process gives the vectors of tokens, ``shares`` that its
    scores lie between 0 and 1 already. ``grammars`` is how its answers are bound, None where only llama.cpp knows.
    """

    slots: int
    frame: Frame = _NO_FRAME
    states: bool = False
    shares: bool = False
    grammars: Grammars | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """An input as the process gets it, with its tokens where they are known, and whether it was cut."""

    input: str | list[int]
    cut: bool = False


class LlamaModel(Writes):
    """A model behind a process that is open, for one event loop."""

    def __init__(self, info: ModelInfo, llama: Supervised, way: Way) -> None:
        self.info = info
        self._llama = llama
        self._way = way
        self._line = Line(info.name, way.slots)

    @property
    def ready(self) -> bool:
        """Whether it can answer: a process that is gone is started again for a request."""
        return not self._llama.closed

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests in line; nobody knows their tokens."""
        return self._line.waiting, 0

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._llama.pid

    async def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event, None]:
        """What the model says, by its own chat template; see `textmill.contract.Chat`."""
        if len(messages) > _MOST_MESSAGES:
            msg = f"the conversation has {len(messages)} messages, and {self.info.name} takes {_MOST_MESSAGES}; leave old ones out"
            raise ContextExceeded(msg, param="messages")
        grammars = self._way.grammars
        async with self._placed(options) as (session, speech, call):
            if grammars is not None and grammars.binds(options):
                events = bound_chat(session, speech, grammars, messages, options)
            else:
                events = Writer(session.wire, speech).chat(messages, options)
                if _is_json(options) and not options.tools:
                    events = kept(events, options.stop)
            async with aclosing(events):
                async for event in events:
                    call.answered = True
                    yield event

    async def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """What comes behind a prompt; see `textmill.contract.Complete`."""
        if not prompt:
            msg = "the prompt is empty; there is nothing to go on from"
            raise EmptyInput(msg, param="prompt")
        given = prompt if isinstance(prompt, str) else checked(prompt, 0, self.info.vocabulary)
        grammars = self._way.grammars
        asked = options if grammars is None else replace(options, format=guided(options.format, grammars))
        async with self._placed(options) as (session, speech, call):
            events = Writer(session.wire, speech).complete(given, asked)
            if _is_json(options):
                events = kept(events, options.stop)
            async with aclosing(events):
                async for event in events:
                    call.answered = True
                    yield event

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The vectors of the inputs, several computed at once; raises WrongTask for chunks."""
        self._need("embed")
        refuse_nothing(inputs)
        pooling = self._pooling(options)
        prompt = prompt_of(_TEXTS, options)
        began = time.perf_counter()
        rows = await self._each(
            [(index, item) for index, item in enumerate(inputs)],
            lambda session, pair: self._row(session, pair[1], pair[0], prompt, options),
        )
        read = time.perf_counter()
        made = await self._each(rows, lambda session, row: self._vector(session, row, pooling))
        norm = self.info.defaults.norm if options.normalize is None else EUCLID if options.normalize else NONE
        return Embeddings(
            vectors=pooled([vector for vector, _ in made], norm, options.dimensions),
            tokens=tuple(tokens for _, tokens in made),
            truncated=tuple(row.cut for row in rows),
            timings=Timings(tokenize=read - began, inference=time.perf_counter() - read),
        )

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The scores of the texts, all by one request."""
        self._need("rerank")
        refuse_nothing(texts)
        if options.instruction is not None:
            msg = f"{self.info.name} takes no instruction; leave it out"
            raise InvalidInput(msg, param="instruction")
        prompt = prompt_of(_TEXTS, options)
        began = time.perf_counter()
        fitted = await self._each(
            list(enumerate(texts)),
            lambda session, pair: self._fitted(session, query, prompt + pair[1], pair[0], options),
        )
        read = time.perf_counter()
        body = {"query": query, "documents": [text for text, _ in fitted], "return_text": False}
        async with self._line.place(), self._llama.session() as session:
            made = await session.wire.post("/rerank", body)
        scores = scores_of(made, len(texts))
        total = int(made.get("usage", {}).get("total_tokens", 0))
        share, rest = divmod(total, len(texts))
        return Scores(
            scores=self._scored(scores, options),
            tokens=tuple(share + (index < rest) for index in range(len(texts))),
            truncated=tuple(was_cut for _, was_cut in fitted),
            timings=Timings(tokenize=read - began, inference=time.perf_counter() - read),
        )

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text; llama.cpp does not say where they stand in it."""
        refuse_nothing(inputs)
        prompt = prompt_of(_TEXTS, options)
        special = options.special_tokens
        rows = await self._each(
            list(inputs), lambda session, text: tokenize(session.native, prompt + text, special=special)
        )
        return tuple(tuple(row) for row in rows)

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """The text of each list of ids, without the special tokens around texts where those are to be left out."""
        refuse_nothing(inputs)
        special = {*self._way.frame.before, *self._way.frame.behind} if skip_special_tokens else set[int]()
        rows = [checked(ids, index, self.info.vocabulary) for index, ids in enumerate(inputs)]
        kept = [[each for each in row if each not in special] for row in rows]
        return tuple(await self._each(kept, lambda session, ids: decode(session.native, ids)))

    def close(self, drain_s: float = 10.0) -> None:
        """Finish what is under way for at most ``drain_s`` seconds, then end the process; blocks."""
        end = time.monotonic() + drain_s
        while self._line.under_way and time.monotonic() < end:
            time.sleep(0.02)
        self._llama.close()

    @asynccontextmanager
    async def _placed(self, options: GenerateOptions) -> AsyncIterator[tuple[Session, Speech, Call]]:
        """A session that is this call's as long as this lasts. llama.cpp takes as many choices at once as it has slots."""
        speech = replace(_SPEECH, many=options.n <= self._way.slots)
        call = Call()
        async with self._line.place(), self._llama.session(call) as session:
            yield session, speech, call

    def _pooling(self, options: EmbedOptions) -> StatePooling | None:
        """How the vectors of tokens are pooled here, None where llama.cpp does it. Raises InvalidInput, WrongTask."""
        if options.adapter is not None:
            msg = f"{self.info.name} has no adapters that a request can choose"
            raise InvalidInput(msg, param="adapter")
        if options.chunking is not None:
            msg = f"{self.info.name} is run by llama.cpp, whose texts textmill cannot part into chunks; send them in parts"
            raise WrongTask(msg)
        width = self.info.dimensions
        if options.dimensions is not None and not 1 <= options.dimensions <= width:
            msg = f"dimensions is {options.dimensions}; this model gives 1 to {width}"
            raise InvalidInput(msg, param="dimensions")
        pooling = state_pooling(options, self.info.defaults)
        if pooling is not None and not self._way.states:
            msg = (
                f"pooling by {pooling.mode!r} needs the vectors of tokens, and llama.cpp pools those of {self.info.name} itself; "
                "add pooling:none to the options in the model file"
            )
            raise InvalidInput(msg, param="pooling")
        return pooling or (_MEAN if self._way.states else None)

    async def _row(self, session: Session, item: Input, index: int, prompt: str, options: TextOptions) -> _Row:
        """An input as it is computed; raises InvalidInput for one that is too long and must not be cut."""
        most = self.info.max_tokens
        if isinstance(item, str):
            text = prompt + item
            if not may_be_long(text, most):
                return _Row(text)
            ids = await ids_of(session.native, text)
            if len(ids) <= most:
                return _Row(text)
        else:
            if prompt:
                msg = f"input {index} has token ids, and a prompt goes in front of texts only"
                raise InvalidInput(msg, index=index)
            ids = checked(item, index, self.info.vocabulary)
            if len(ids) <= most:
                return _Row(ids)
        if not options.truncate:
            msg = f"input {index} has {len(ids)} tokens, but the model takes at most {most}; shorten it or allow truncation"
            raise InvalidInput(msg, index=index)
        frame = self._way.frame if isinstance(item, str) else _NO_FRAME
        return _Row(cut(ids, most, frame, options.truncate_side or "right"), cut=True)

    async def _vector(self, session: Session, row: _Row, pooling: StatePooling | None) -> tuple[Floats, int]:
        """The vector of a row, not scaled, and how many tokens it has."""
        if pooling is None:
            body = {"input": row.input, "encoding_format": "base64", "embd_normalize": NONE}
            return vector_of(await session.wire.post("/embeddings", body), self.info.dimensions)
        states = states_of(await session.native.post_list("/embeddings", {"input": row.input, "embd_normalize": NONE}))
        return pooling.pool(states), len(states)

    async def _fitted(
        self, session: Session, query: str, text: str, index: int, options: RerankOptions
    ) -> tuple[str, bool]:
        """A text that fits behind the query, and whether it was cut for that."""
        most = self.info.max_tokens
        if not may_be_long(query + text, most):
            return text, False
        both = len(await ids_of(session.native, query)) + len(ids := await ids_of(session.native, text))
        if both <= most:
            return text, False
        if not options.truncate:
            msg = f"text {index} and the query have {both} tokens, but the model takes at most {most}; shorten one or allow truncation"
            raise InvalidInput(msg, index=index)
        body = cut(ids, len(ids) - (both - most), self._way.frame, options.truncate_side or "right")
        before, behind = len(self._way.frame.before), len(self._way.frame.behind)
        kept = body[before : len(body) - behind]
        if not kept:
            msg = f"the query has so many tokens that nothing of a text fits behind it; the model takes at most {most}"
            raise InvalidInput(msg, param="query")
        return await decode(session.native, kept), True

    def _scored(self, scores: Floats, options: RerankOptions) -> Floats:
        """Scores as they are asked for; llama.cpp gives logits, and shares of "yes" for models that answer yes or no."""
        raw = options.scoring == "raw"
        if self._way.shares:
            return np.log(scores / (1 - scores)) if raw else scores
        return scores if raw else np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))), np.float32)

    async def _each(self, items: Sequence[R], ask: Callable[[Session, R], Awaitable[T]]) -> list[T]:
        """What comes of items, in their order, several asked at once; the first error ends the others."""
        made: dict[int, T] = {}
        numbers = iter(range(len(items)))

        async def work() -> None:
            for number in numbers:
                async with self._line.place(), self._llama.session() as session:
                    made[number] = await ask(session, items[number])

        try:
            async with asyncio.TaskGroup() as group:
                # As many as the process takes: a request of very many texts is one that waits, not as many.
                for _ in range(min(len(items), self._line.places)):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [made[number] for number in range(len(items))]


def _is_json(options: GenerateOptions) -> bool:
    return options.format is not None and options.format.kind != "grammar"
