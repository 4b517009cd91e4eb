"""The embed task: texts and options become rows, rows become vectors, vectors are cut and normalised."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Encoded, Tokenizer
from textmill.contract import Embeddings, EmbedOptions, Input, Side, Timings
from textmill.engine.engine import Engine
from textmill.engine.scheduler import Lane
from textmill.engine.ticket import Answer
from textmill.errors import EmptyInput, InvalidInput, Unavailable
from textmill.runtimes.runtime import Row

Vectors = npt.NDArray[np.float32]

WINDOW = 1024
"""Inputs of one call that are tokenised and queued together; the next window is tokenised while this one computes."""

_IN_PLACE = 1024
"""Characters that are tokenised on the event loop, at most 0.2 ms: for less, a hop to a thread would cost more (ADR 0005)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The little that the task knows of a model.

    ``include_prompt`` false leaves prompts out of pooling. ``default_dimensions`` of None keeps all ``dimensions``.
    """

    prompts: Mapping[str, str]
    default_prompt: str
    include_prompt: bool
    max_tokens: int
    dimensions: int
    default_dimensions: int | None = None
    truncate_side: Side = "right"


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a call that waits for its answer."""

    future: Future[Answer]
    encoded: Sequence[Encoded]
    tokenize_s: float


class Embedder:
    """Embeds on our own engine. Thread-safe; calls from threads and from event loops share batches."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine, profile: Profile, pool: ThreadPoolExecutor) -> None:
        self._tokenizer = tokenizer
        self._engine = engine
        self._profile = profile
        self._pool = pool

    def embed_now(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """`embed` for callers without an event loop; blocks until the answer is there."""
        call = _Call(self._profile, inputs, options)
        with call:
            with self._engine.call():
                for part in call.windows():
                    call.waiting.append(self._enqueue(call, part, self._tokenize(call, part)))
                    while len(call.waiting) > 1:
                        call.take(call.waiting[0].future.result())
            while call.waiting:
                call.take(call.waiting[0].future.result())
        return call.embeddings()

    async def embed(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """Embed the inputs, in order; see `textmill.contract.Embed`."""
        call = _Call(self._profile, inputs, options)
        with call:
            with self._engine.call():
                for part in call.windows():
                    if _characters(part) <= _IN_PLACE:
                        encoded = self._tokenize(call, part)
                    else:
                        encoded = await asyncio.wrap_future(self._beside(call, part))
                    call.waiting.append(self._enqueue(call, part, encoded))
                    while len(call.waiting) > 1:
                        call.take(await asyncio.wrap_future(call.waiting[0].future))
            while call.waiting:
                call.take(await asyncio.wrap_future(call.waiting[0].future))
        return call.embeddings()

    def _beside(self, call: _Call, part: Sequence[Input]) -> Future[tuple[list[Encoded], float]]:
        try:
            return self._pool.submit(self._tokenize, call, part)
        except RuntimeError as error:  # the pool is shut down
            msg = "the model is closed"
            raise Unavailable(msg) from error

    def _tokenize(self, call: _Call, part: Sequence[Input]) -> tuple[list[Encoded], float]:
        start = time.perf_counter()
        if all(isinstance(item, str) for item in part):
            encoded = self._texts(call, cast("Sequence[str]", part), call.queued)
        else:
            encoded = [self._either(call, item, call.queued + i) for i, item in enumerate(part)]
        return encoded, time.perf_counter() - start

    def _texts(self, call: _Call, texts: Sequence[str], first: int) -> list[Encoded]:
        return self._tokenizer.encode(
            texts,
            max_tokens=self._profile.max_tokens,
            truncate=call.options.truncate,
            side=call.side,
            prompt=call.prompt,
            first=first,
        )

    def _either(self, call: _Call, item: Input, index: int) -> Encoded:
        """A text, or ids: these run as they are, except that a prompt goes in front of their text."""
        if isinstance(item, str):
            return self._texts(call, [item], index)[0]
        ids = self._tokenizer.check_ids(item, index)
        if call.prompt:
            return self._texts(call, [self._tokenizer.decode(item)], index)[0]
        limit = self._profile.max_tokens
        if len(ids) > limit and not call.options.truncate:
            msg = f"input {index} has {len(ids)} tokens, but the model takes at most {limit}; shorten it or allow truncation"
            raise InvalidInput(msg, index=index)
        return Encoded(ids[:limit] if call.side == "right" else ids[-limit:], len(ids))

    def _enqueue(self, call: _Call, part: Sequence[Input], tokenized: tuple[list[Encoded], float]) -> _Window:
        encoded, seconds = tokenized
        skipped = 0
        if call.prompt and not self._profile.include_prompt:
            skipped = self._tokenizer.prompt_tokens(call.prompt)
        rows = [Row(item.ids, prompt_tokens=_left_of_prompt(item, skipped, call.side)) for item in encoded]
        alone = Lane.INTERACTIVE if len(call.inputs) == 1 else None
        lane = Lane.BULK if len(call.inputs) > WINDOW else alone
        future = self._engine.submit(rows, lane=lane, admitted=call.queued > 0)
        call.queued += len(part)
        return _Window(future, encoded, seconds)


@dataclass(slots=True)
class _Call:
    """One call under way: its checked options, the windows that wait, and the parts that are done."""

    profile: Profile
    inputs: Sequence[Input]
    options: EmbedOptions
    prompt: str = field(init=False)
    dimensions: int | None = field(init=False)
    side: Side = field(init=False)
    queued: int = 0
    waiting: deque[_Window] = field(default_factory=deque)
    done: list[tuple[Answer, _Window]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.inputs:
            msg = "there is nothing to embed: the list of inputs is empty"
            raise EmptyInput(msg, param="input")
        self.prompt = _prompt(self.profile, self.options)
        self.side = self.options.truncate_side or self.profile.truncate_side
        self.dimensions = self.options.dimensions
        if self.dimensions is None:
            self.dimensions = self.profile.default_dimensions
        elif not 1 <= self.dimensions <= self.profile.dimensions:
            msg = f"dimensions is {self.dimensions}; this model gives 1 to {self.profile.dimensions}"
            raise InvalidInput(msg, param="dimensions")

    def windows(self) -> Iterator[Sequence[Input]]:
        for start in range(0, len(self.inputs), WINDOW):
            yield self.inputs[start : start + WINDOW]

    def take(self, answer: Answer) -> None:
        """Keep the answer of the window that has waited longest."""
        self.done.append((answer, self.waiting.popleft()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what still waits; nothing where the call ended well."""
        for window in self.waiting:
            window.future.cancel()

    def embeddings(self) -> Embeddings:
        vectors = [cast("Vectors", answer.outputs["dense"]) for answer, _ in self.done]
        encoded = [item for _, window in self.done for item in window.encoded]
        return Embeddings(
            vectors=self._finish(vectors[0] if len(vectors) == 1 else np.concatenate(vectors)),
            tokens=tuple(len(item.ids) for item in encoded),
            truncated=tuple(item.truncated for item in encoded),
            timings=self._timings(),
        )

    def _finish(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Cut to the first dimensions, then scale to unit length; a zero vector stays zero."""
        if self.dimensions is not None:
            vectors = np.ascontiguousarray(vectors[:, : self.dimensions])
        if self.options.normalize:
            lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
            vectors = vectors / np.maximum(lengths, np.float32(1e-12))[:, None]
        return vectors

    def _timings(self) -> Timings:
        total = len(self.inputs)
        rows = [len(window.encoded) / total for _, window in self.done]
        return Timings(
            tokenize=sum(share * window.tokenize_s for share, (_, window) in zip(rows, self.done, strict=True)),
            queue=sum(share * answer.queue_s for share, (answer, _) in zip(rows, self.done, strict=True)),
            inference=sum(share * answer.inference_s for share, (answer, _) in zip(rows, self.done, strict=True)),
        )


def _prompt(profile: Profile, options: EmbedOptions) -> str:
    if options.prompt is not None:
        return options.prompt
    if options.prompt_name is None:
        return profile.default_prompt
    if options.prompt_name not in profile.prompts:
        known = ", ".join(sorted(profile.prompts)) or "none"
        msg = f"the model has no prompt named {options.prompt_name!r}; its prompts: {known}"
        raise InvalidInput(msg, param="prompt_name")
    return profile.prompts[options.prompt_name]


def _left_of_prompt(item: Encoded, tokens: int, side: Side) -> int:
    """How many of a row's tokens are the prompt's: a cut at the left takes them first, and one token must be left to pool."""
    if side == "left":
        tokens -= item.tokens_before - len(item.ids)
    return max(0, min(tokens, len(item.ids) - 1))


def _characters(inputs: Sequence[Input]) -> int:
    return sum(map(len, inputs))
