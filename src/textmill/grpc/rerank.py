"""The rpcs of `tei.v1.Rerank`: texts in the order of their relevance, from one message or from one each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.contract import Answered, ModelInfo, RerankOptions, Scores, Timings
from textmill.errors import EmptyInput, InvalidInput, TooManyInputs
from textmill.grpc.ahead import Ahead, Messages, Reply
from textmill.grpc.calls import answered, limits, streamed
from textmill.grpc.embed import TOGETHER
from textmill.grpc.messages import RerankRequest, RerankResponse, RerankStreamRequest, parsed
from textmill.grpc.metadata import metadata_message
from textmill.grpc.served import Model
from textmill.grpc.service import Lend, Service
from textmill.grpc.verb import remembered, side_of
from textmill.store.about import about
from textmill.tasks.best import descending, refuse_no_numbers

Question = tuple[str, RerankOptions]
"""A query, and how texts are judged by it."""


class Ranking:
    """What both rpcs compute; the messages that it reads are those of the stream."""

    request = RerankStreamRequest
    free = False
    together = TOGETHER

    def __init__(self) -> None:
        self.first: Any = None
        """The first message that was read: it decides how the answer looks."""

    def read(self, message: Any) -> tuple[str, Question]:
        """The text, and what it is judged by."""
        if self.first is None:
            self.first = message
        options = _options(message.truncate, self.first.raw_scores, message.truncation_direction)
        _refuse_nothing(message.query, [message.text])
        return message.text, (message.query, options)

    async def ask(self, model: Model, inputs: Sequence[str], options: Question) -> Scores:
        """Score the texts."""
        query, how = options
        made = await model.rerank_inputs(query, inputs, how)
        refuse_no_numbers(made.scores)
        return made


async def rerank(service: Service, rpc: str, data: bytes, context: Any) -> bytes:
    """Answer a Rerank."""
    started = time.perf_counter()

    async def work(model: Model) -> bytes:
        message = parsed(RerankRequest, data)
        texts, query = list(message.texts), message.query
        if not texts:
            msg = "'texts' is an empty list; there is nothing to rank"
            raise EmptyInput(msg, param="texts")
        if "rerank" in model.info.tasks and len(texts) > service.settings.max_inputs:
            msg = f"'texts' has {len(texts)} inputs; this server takes {service.settings.max_inputs} a message"
            raise TooManyInputs(msg, param="texts")
        _refuse_nothing(query, texts)
        options = _options(message.truncate, message.raw_scores, message.truncation_direction)
        made = await service.ask_patiently(Ranking(), lambda: nullcontext(model), texts, (query, options))
        characters = len(query) * len(texts) + sum(map(len, texts))
        await context.send_initial_metadata(about(model.info, made, characters, started))
        return _ranks(made.scores, texts if message.return_text else None) + _about(made, characters, started)

    return await answered(service, rpc, context, work)


async def rerank_stream(service: Service, rpc: str, messages: Messages, context: Any) -> bytes:
    """Answer a RerankStream."""
    started = time.perf_counter()

    async def work(lend: Lend, model: ModelInfo) -> bytes:
        ranking, gathered = Ranking(), _Gathered(service.settings.message_limit)
        ahead = Ahead(messages, ranking, partial(service.ask_patiently, ranking, lend, part=True), limits(service))
        async with aclosing(ahead.replies()) as replies:
            async for reply in replies:
                gathered.add(reply, keep_text=ranking.first.return_text)
        made = gathered.scores()
        service.telemetry.observe_stages(model.name, made.timings)
        await context.send_initial_metadata(about(model, made, gathered.characters, started))
        return _ranks(made.scores, gathered.texts or None) + _about(made, gathered.characters, started)

    return await streamed(service, rpc, context, work)


@dataclass(slots=True)
class _Gathered:
    """The scores of a stream so far, and its texts where they are to be returned: at most ``limit`` characters of them."""

    limit: int
    characters: int = 0
    kept: int = 0
    texts: list[str] = field(default_factory=list)
    marks: list[tuple[float, int, bool, Timings]] = field(default_factory=list)

    def add(self, reply: Reply[str, Question, Scores], *, keep_text: bool) -> None:
        made, index, text = reply.made, reply.index, reply.asked.input
        self.marks.append((float(made.scores[index]), made.tokens[index], made.truncated[index], made.timings))
        self.characters += len(reply.asked.options[0]) + len(text)
        if keep_text:
            self.texts.append(text)
            self.kept += len(text)
            if self.kept > self.limit:
                msg = (
                    f"the texts have more than {self.limit} characters, too many for one answer; do without return_text"
                )
                raise InvalidInput(msg, param="return_text")

    def scores(self) -> Scores:
        """All of them as one answer; raises EmptyInput where there are none."""
        if not self.marks:
            msg = "the stream has no messages; there is nothing to rank"
            raise EmptyInput(msg)
        scores, tokens, truncated, timings = zip(*self.marks, strict=True)
        return Scores(
            scores=np.array(scores, np.float32),
            tokens=tokens,
            truncated=truncated,
            timings=Timings(*np.mean([(t.tokenize, t.queue, t.inference) for t in timings], axis=0).tolist()),
        )


def _refuse_nothing(query: str, texts: Sequence[str]) -> None:
    """Raise EmptyInput for a query and a text that are both empty."""
    if not query and not all(texts):
        index = texts.index("")
        msg = f"the query and text {index} are both empty; there is nothing to compare"
        raise EmptyInput(msg, param="texts", index=index)


def _ranks(scores: npt.NDArray[np.float32], texts: Sequence[str] | None) -> bytes:
    """The message with the ranking, the best text first."""
    places = descending(scores).tolist()
    ranks = [{"index": i, "score": scores[i], "text": None if texts is None else texts[i]} for i in places]
    message: bytes = RerankResponse(ranks=ranks).SerializeToString()
    return message


def _about(made: Answered, characters: int, started: float) -> bytes:
    about: bytes = RerankResponse(
        metadata=metadata_message(made, sum(made.tokens), characters, started)
    ).SerializeToString()
    return about


@remembered
def _options(truncate: bool, raw_scores: bool, direction: int) -> RerankOptions:  # noqa: FBT001 - as messages have it
    return RerankOptions(truncate=truncate, truncate_side=side_of(direction), scoring="raw" if raw_scores else None)
