"""A model that a backend of LocalAI's runs, with the verbs that its protocol has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import numpy as np

from textmill.contract import (
    EmbedDefaults,
    Embeddings,
    EmbedOptions,
    Input,
    ModelInfo,
    RerankOptions,
    Scores,
    TextOptions,
    Timings,
    Token,
    TokenizeOptions,
)
from textmill.errors import ForwardFailed, InvalidInput, Overloaded, WrongTask
from textmill.providers.backend import Backend
from textmill.providers.messages import DetokenizeRequest, PredictOptions, RerankRequest
from textmill.providers.pooled import Wanted, vector_of
from textmill.providers.refusing import RefusesAll
from textmill.tasks.states import state_pooling
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16
"""Calls of one model that its backend has at the same time; it may queue them itself."""
WAITING = 1 << 16
"""Inputs that may wait for that."""
CALL_S = 600.0
"""How long an rpc may take."""
_RETRY_S = 5.0
_MOST_ID = 2**31 - 1
_TEXTS = TextProfile(prompts={}, default_prompt="", max_tokens=0)
_IDS = ([5], [7, 9, 11])
"""Two inputs of ids that a backend which reads ids tells apart."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a model's vectors are made where a call does not say; ``norm`` None: as `textmill.providers.pooled.Wanted` has it."""

    defaults: EmbedDefaults
    norm: int | None


class ExternalModel(RefusesAll):
    """A model behind a backend that is open, for one event loop. ``identity`` is what the backend knows it by."""

    def __init__(self, info: ModelInfo, backend: Backend, identity: str, way: Way) -> None:
        self.info = info
        self._backend = backend
        self._identity = identity
        self._way = way
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._under_way = 0
        self._reads_ids: bool | None = None

    @property
    def ready(self) -> bool:
        """Whether it can answer: a process that is gone is started again for a request."""
        return not self._backend.closed

    @property
    def waiting(self) -> tuple[int, int]:
        """Inputs in line; nobody knows their tokens."""
        return self._waiting, 0

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The vectors of the inputs, each by an rpc of its own."""
        self._need("embed")
        refuse_nothing(inputs)
        prompt = _prompt(options)
        wanted = self._wanted(options)
        requests = [self._request(item, prompt, index) for index, item in enumerate(inputs)]
        if not all(isinstance(item, str) for item in inputs):
            await self._expect_ids(wanted)
        made, timings = await self._each(lambda request: self._call("Embedding", request), requests)
        vectors = [vector_of(each, wanted, self.info.dimensions, self._backend.name) for each in made]
        tokens = [
            each.prompt_tokens or len(request.EmbeddingTokens) for each, request in zip(made, requests, strict=True)
        ]
        return Embeddings(
            vectors=np.stack(vectors), tokens=tuple(tokens), truncated=(False,) * len(inputs), timings=timings
        )

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The scores of the texts as the backend gives them, by one rpc."""
        self._need("rerank")
        refuse_nothing(texts)
        if options.instruction is not None:
            msg = f"{self.info.name} takes no instruction; leave it out"
            raise InvalidInput(msg, param="instruction")
        if options.scoring is not None:
            msg = f"{self.info.name} has scores as its backend gives them, which cannot become {options.scoring}; leave the scoring out"
            raise InvalidInput(msg, param="scoring")
        _prompt(options)
        request = RerankRequest(query=query, documents=texts, top_n=len(texts), ModelIdentity=self._identity)
        [made], timings = await self._each(lambda each: self._call("Rerank", each), [request])
        share, rest = divmod(max(made.usage.total_tokens, made.usage.prompt_tokens), len(texts))
        return Scores(
            scores=_scores(made.results, len(texts), self._backend.name),
            tokens=tuple(share + (index < rest) for index in range(len(texts))),
            truncated=(False,) * len(texts),
            timings=timings,
        )

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """The ids of each text's tokens; the protocol has neither their texts nor their places."""
        refuse_nothing(inputs)
        prompt = prompt_of(_TEXTS, options)
        requests = [PredictOptions(Prompt=prompt + text, ModelIdentity=self._identity) for text in inputs]
        made, _ = await self._each(lambda request: self._call("TokenizeString", request), requests)
        return tuple(
            tuple(Token(id_, "", special=False, start=None, stop=None) for id_ in each.tokens) for each in made
        )

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """The text of each list of ids; what becomes of special tokens is the backend's own way."""
        del skip_special_tokens
        refuse_nothing(inputs)
        requests = [DetokenizeRequest(tokens=_ids(ids, index)) for index, ids in enumerate(inputs)]
        made, _ = await self._each(lambda request: self._call("Detokenize", request), requests)
        return tuple(each.content for each in made)

    def close(self, drain_s: float = 10.0) -> None:
        """Finish what is under way for at most ``drain_s`` seconds, then end the backend's process; blocks."""
        end = time.monotonic() + drain_s
        while self._under_way and time.monotonic() < end:
            time.sleep(0.02)
        self._backend.close()

    def _wanted(self, options: EmbedOptions) -> Wanted:
        """How the vectors of a call are made. Raises InvalidInput for what the model does not have."""
        if options.adapter is not None:
            msg = f"{self.info.name} has no adapters"
            raise InvalidInput(msg, param="adapter")
        if options.chunking is not None:
            msg = f"{self.info.name} runs outside of textmill, which cannot part its texts into chunks; send them in parts"
            raise WrongTask(msg)
        width = self.info.dimensions
        if options.dimensions is not None and not 1 <= options.dimensions <= width:
            msg = f"dimensions is {options.dimensions}; this model gives 1 to {width}"
            raise InvalidInput(msg, param="dimensions")
        norm = self._way.norm if options.normalize is None else 2 if options.normalize else -1
        return Wanted(state_pooling(options, self._way.defaults), norm, options.dimensions)

    def _request(self, item: Input, prompt: str, index: int) -> Any:
        if isinstance(item, str):
            return PredictOptions(Embeddings=prompt + item, ModelIdentity=self._identity)
        if prompt:
            msg = f"input {index} has token ids, and a prompt goes in front of texts only"
            raise InvalidInput(msg, index=index)
        return PredictOptions(EmbeddingTokens=_ids(item, index), ModelIdentity=self._identity)

    async def _expect_ids(self, wanted: Wanted) -> None:
        """Raise InvalidInput where the backend reads no ids: some look at the text only, which is empty then."""
        if self._reads_ids is None:
            requests = [PredictOptions(EmbeddingTokens=ids, ModelIdentity=self._identity) for ids in _IDS]
            try:
                made, _ = await self._each(lambda request: self._call("Embedding", request), requests)
                first, second = (vector_of(each, wanted, None, self._backend.name) for each in made)
                self._reads_ids = not np.array_equal(first, second)
            except (ForwardFailed, InvalidInput):
                self._reads_ids = False
        if not self._reads_ids:
            msg = f"{self.info.name} takes texts only: its backend {self._backend.name} does not read token ids"
            raise InvalidInput(msg, param="input")

    async def _call(self, method: str, request: Any) -> Any:
        return await self._backend.call(method, request, CALL_S)

    async def _each(self, ask: Callable[[R], Awaitable[T]], requests: Sequence[R]) -> tuple[list[T], Timings]:
        """The answers to requests in their order, several asked at once; the first error ends the others."""
        if self._waiting + len(requests) > WAITING:
            msg = f"{self._waiting} inputs wait for {self.info.name}, which is too many; try again in some seconds"
            raise Overloaded(msg, retry_after=_RETRY_S)
        answers: list[Any] = [None] * len(requests)
        numbers, spent, queued = count(), [0.0] * len(requests), [0.0] * len(requests)
        began = time.perf_counter()
        left = len(requests)
        self._waiting += left
        self._under_way += 1

        async def work() -> None:
            nonlocal left
            while (index := next(numbers)) < len(requests):
                async with self._places:
                    left -= 1
                    self._waiting -= 1
                    started = time.perf_counter()
                    queued[index] = started - began
                    answers[index] = await ask(requests[index])
                    spent[index] = time.perf_counter() - started

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(requests))):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._waiting -= left
            self._under_way -= 1
        return answers, Timings(queue=sum(queued) / len(queued), inference=sum(spent) / len(spent))


def _prompt(options: TextOptions) -> str:
    """What goes in front of texts. Raises InvalidInput for what only our own models have."""
    if options.truncate_side == "left":
        msg = "a model that runs outside of textmill is cut as its backend does it; leave the side out"
        raise InvalidInput(msg, param="truncation_direction")
    return prompt_of(_TEXTS, options)


def _ids(ids: Sequence[int], index: int) -> list[int]:
    if not len(ids):
        msg = f"input {index} is an empty list of token ids"
        raise InvalidInput(msg, index=index)
    if any(isinstance(each, bool) or not 0 <= each <= _MOST_ID for each in ids):
        msg = f"input {index} has a token id that is none: ids are whole numbers from 0 to {_MOST_ID}"
        raise InvalidInput(msg, index=index)
    return [int(each) for each in ids]


def _scores(results: Sequence[Any], texts: int, backend: str) -> Any:
    """A score for each text; raises ForwardFailed where one has none, or several, or no number."""
    scores = np.full(texts, np.nan, np.float32)
    for each in results:
        if not 0 <= each.index < texts or not np.isnan(scores[each.index]):
            msg = f"the backend {backend} ranked a text {each.index} of {texts}, which is none or was ranked before"
            raise ForwardFailed(msg)
        scores[each.index] = each.relevance_score
    if not np.isfinite(scores).all():
        msg = f"the backend {backend} gave {len(results)} scores for {texts} texts, or some that are no numbers"
        raise ForwardFailed(msg)
    return scores
