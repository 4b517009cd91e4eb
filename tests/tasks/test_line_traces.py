"""A call's way to the engine, as those see it who trace it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import BatchReport, EmbedOptions
from textmill.engine.engine import Engine, Policy
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.line import Line
from textmill.tasks.texts import TextProfile
from textmill.telemetry.request import CURRENT, Request
from textmill.telemetry.tracer import Span, Tracer
from textmill.testing.runtime import FakeRuntime

TEXTS = TextProfile(prompts={}, default_prompt="", max_tokens=12)


class Traced:
    """A task on an engine whose batches a tracer is told of."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, pool: ThreadPoolExecutor, tracer: Tracer) -> None:
        self._line = Line(engine, pool, TEXTS.max_tokens)
        self._task = Embedder(tokenizer, TEXTS, EmbedProfile(dimensions=8, include_prompt=True))
        self._tracer = tracer

    async def embed(self, *texts: str) -> Request | None:
        """Embed in a request of its own; the request, where it is traced."""
        request = self._tracer.begin([])
        entered = CURRENT.set(request)
        await self._line.answer(self._task.call(texts, EmbedOptions()))
        CURRENT.reset(entered)
        if request is not None:
            self._tracer.end(request, "POST /embed", {}, 1.0, 200)
        return request


@pytest.fixture
def spans() -> list[Span]:
    return []


@pytest.fixture
def make(tokenizer: Tokenizer, runtime: FakeRuntime, spans: list[Span]) -> Iterator[Callable[[float], Traced]]:
    """Makes the task with that share of traces."""
    engines: list[Engine] = []
    with ThreadPoolExecutor(1) as pool:

        def traced(share: float) -> Traced:
            tracer = Tracer(share, spans.extend)

            def observe(report: BatchReport) -> None:
                tracer.batch("fake", report)

            engines.append(Engine(runtime, Policy(batch_tokens=256), name="fake", observe=observe))
            engines[-1].start()
            return Traced(engines[-1], tokenizer, pool, tracer)

        yield traced
        runtime.gate.open()
        for engine in engines:
            engine.close()


async def test_requests_that_share_a_batch_are_both_linked_with_it(
    make: Callable[[float], Traced], runtime: FakeRuntime, spans: list[Span]
) -> None:
    traced = make(1.0)
    runtime.gate.shut()
    occupying = asyncio.create_task(traced.embed("first"))
    await asyncio.to_thread(runtime.gate.wait_for_arrival)
    together = [asyncio.create_task(traced.embed(text)) for text in ("a", "b c")]
    while any(not task.done() for task in (occupying, *together)):
        await asyncio.sleep(0.001)
        runtime.gate.open()
    first, second = (task.result() for task in together)

    assert first is not None
    assert second is not None
    [batch] = [span for span in spans if span.name == "batch" and len(span.links) == 2]
    assert set(batch.links) == {first.id, second.id}
    for request in (first, second):
        children = [span for span in spans if span.parent == request.id]
        assert [span.name for span in children] == ["tokenize", "queue", "inference"]
        tokenize, queue, inference = children
        assert tokenize.start_ns <= queue.start_ns <= queue.end_ns <= inference.end_ns
        assert list(inference.links) == [batch.id]
    assert [span.parent for span in spans if span.name == "runtime"].count(batch.id) == 1


async def test_what_is_not_sampled_leaves_nothing(make: Callable[[float], Traced], spans: list[Span]) -> None:
    assert await make(0.0).embed("a") is None
    assert spans == []


async def test_tokenising_in_a_thread_is_traced_too(make: Callable[[float], Traced], spans: list[Span]) -> None:
    await make(1.0).embed(*(["a b c"] * 500))
    assert [span.name for span in spans].count("tokenize") == 1
