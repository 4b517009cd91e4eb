"""Services that are limited, failing, slow, cut off or talking nonsense: nothing is lost, the order is kept, and errors are clear."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textmill.contract import EmbedOptions, RerankOptions
from textmill.errors import ForwardFailed, Overloaded, TextmillError, Unavailable
from textmill.folder.scan import scan
from textmill.providers.remote import open_remote
from textmill.providers.remote_model import RemoteModel
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, Script, openai_server
from textmill.testing.providers import WIDTH, cut_off, failing, faulty, limited, service, slow, vector_of

TEXTS = [f"text {number}" for number in range(20)]
SOON = {"retry_after_ms": "1"}


@asynccontextmanager
async def opened(
    folder: Path, backend: str = "cohere", *options: str
) -> AsyncIterator[tuple[RemoteModel, OpenAIServer]]:
    lines = "".join(f"- {each}\n" for each in ("inputs_per_request:2", *options))
    async with openai_server(service(backend)) as server:
        (folder / "m.yaml").write_text(
            f"name: m\nbackend: {backend}\nknown_usecases: [embeddings, rerank]\nparameters: {{model: m}}\n"
            f"options:\n- base_url:{server.base_url}\n{lines}"
        )
        scanned = scan(folder)
        assert scanned.problems == ()
        model = await asyncio.to_thread(open_remote, scanned.files[0], lambda _: "")
        server.asked.clear()
        try:
            yield model, server
        finally:
            model.close(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def embedded(model: RemoteModel, texts: Sequence[str] = TEXTS) -> list[list[float]]:
    made: list[list[float]] = (await model.embed_inputs(texts, EmbedOptions())).vectors.tolist()
    return made


def wanted(texts: Sequence[str] = TEXTS, role: str = "search_document") -> list[list[float]]:
    return [vector_of(text, role) for text in texts]


@pytest.mark.parametrize(
    "faults",
    [
        [limited(**SOON)] * 2,
        [limited(Retry_After="0")],
        [
            limited(
                x_ratelimit_reset_requests="1ms", x_ratelimit_reset_tokens="6m0s", x_ratelimit_remaining_requests="0"
            )
        ],
        [limited(X_RateLimit_Reset="0")],
        [Answer(status=429, body={"error": {"code": 429, "details": [{"retryDelay": "0.001s"}]}})],
        [Answer(status=500, headers={"retry-after-ms": "1"}, body={"message": "oh"})],
        [
            Answer(status=503, headers={"retry-after-ms": "1"}, body=b"<html>"),
            Answer(status=502, headers={"retry-after-ms": "1"}),
        ],
        [Answer(status=408, headers={"retry-after-ms": "1"}, body={})],
        [Answer(status=422, headers={"x-should-retry": "true", "retry-after-ms": "1"}, body={"message": "once more"})],
        [None, cut_off()],
        [cut_off(), cut_off(b" ")],
        [failing(502)],
        [slow(0.05, {"embeddings": {"float": wanted(TEXTS[:2])}})],
    ],
)
async def test_what_passes_is_asked_for_again(faults: list[Answer | None], tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = faulty(server.script, faults)
        assert await embedded(model) == wanted()
        assert 10 <= len(server.asked) <= 10 + len(faults)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (limited(Retry_After="600"), Overloaded, "too much to do: slow down"),
        (limited(x_should_retry="false"), Overloaded, "too much to do"),
        (limited(Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"), Overloaded, "too much to do"),
        (limited(x_ratelimit_reset="90"), Overloaded, "too much to do"),
        (Answer(status=429, body={"error": {"message": "pay", "code": "insufficient_quota"}}), Unavailable, "nothing left"),
        (Answer(status=501, body={"message": "never"}), TextmillError, "cannot do that: never"),
        (Answer(status=402, body={"message": "pay"}), Unavailable, "cannot answer now .status 402.: pay"),
        (Answer(status=403, body={"message": "not you"}), Unavailable, "does not allow that: not you"),
        (Answer(status=404, headers={"Content-Type": "text/html"}, body=b"<html>"), Unavailable, "is its address right"),
        (Answer(status=404, body={"message": "no model m"}), TextmillError, "refuses the request: no model m"),
        (Answer(headers={"Content-Type": "text/html"}, body=b"<html>"), ForwardFailed, "with no JSON, but text/html"),
        (Answer(body=b'{"embeddings": '), ForwardFailed, "answered /v2/embed with no JSON"),
        (Answer(body=[1]), ForwardFailed, "no JSON object"),
        (Answer(body={}), ForwardFailed, "gave no vectors in embeddings for 2 inputs"),
        (Answer(body={"embeddings": {"float": wanted(TEXTS[:1])}}), ForwardFailed, "gave 1 vectors in embeddings for 2 inputs"),
        (Answer(body={"embeddings": {"float": wanted(TEXTS[:3])}}), ForwardFailed, "gave 3 vectors in embeddings for 2 inputs"),
        (Answer(body={"embeddings": {"float": [[1.0] * 8, [1.0] * 7]}}), ForwardFailed, "of several lengths"),
        (Answer(body={"embeddings": {"float": [[1.0] * 7] * 2}}), ForwardFailed, "of 7 values, and its model has 8"),
        (Answer(body={"embeddings": {"float": [[1.0] * 8, None]}}), ForwardFailed, "must be a list of numbers"),
        (Answer(body={"embeddings": "all"}), ForwardFailed, "embeddings must be"),
        (Answer(body={"embeddings": {"float": [[1.0] * 7 + [None]] * 2}}), ForwardFailed, "must be a list of numbers"),
        (Answer(body={"error": {"message": "inside", "code": 500}}), ForwardFailed, "inside"),
    ],
)  # fmt: skip
async def test_what_does_not_pass_is_an_error_at_once(
    answer: Answer, kind: type[TextmillError], says: str, tmp_path: Path
) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = lambda _: answer
        with pytest.raises(kind, match=says):
            await embedded(model, TEXTS[:2])
        assert len(server.asked) == 1


async def test_a_wait_that_is_too_long_is_passed_on(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "retry_seconds:5") as (model, server):
        server.script = lambda _: limited(Retry_After="7")
        with pytest.raises(Overloaded) as raised:
            await embedded(model, TEXTS[:2])
        assert raised.value.retry_after == 7
        server.script = lambda _: limited(x_ratelimit_reset_tokens="1m30s")
        with pytest.raises(Overloaded) as raised:
            await embedded(model, TEXTS[:2])
        assert raised.value.retry_after == 90


async def test_all_waits_together_stay_within_what_they_may_take(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "retries:9", "retry_seconds:0.25") as (model, server):
        server.script = lambda _: limited(retry_after_ms="100")
        with pytest.raises(Overloaded):
            await embedded(model, TEXTS[:2])
        assert len(server.asked) == 3


async def test_waits_of_which_nothing_is_told_grow(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "retries:9", "retry_seconds:1.2") as (model, server):
        server.script = lambda _: Answer(status=500, body={"message": "oh"})
        with pytest.raises(ForwardFailed):
            await embedded(model, TEXTS[:2])
        assert len(server.asked) == 2  # after half a second; the next wait would be a whole one


async def test_attempts_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "retries:3") as (model, server):
        server.script = lambda _: limited(**SOON)
        with pytest.raises(Overloaded):
            await embedded(model, TEXTS[:2])
        assert len(server.asked) == 4


async def test_a_piece_that_fails_fails_its_call_only_and_the_rest_of_it_is_not_sent(tmp_path: Path) -> None:
    bad = TEXTS[2]

    def script(asked: Asked) -> Answer:
        if bad in asked.body["texts"]:
            return Answer(status=400, body={"message": "a bad text"})
        return service("cohere")(asked)

    async with opened(tmp_path, "cohere", "requests_at_once:1") as (model, server):
        server.script = script
        good = asyncio.create_task(embedded(model, TEXTS[4:10]))
        with pytest.raises(TextmillError, match="a bad text"):
            await embedded(model)
        assert await good == wanted(TEXTS[4:10])
        assert len(server.asked) == 3 + 2


async def test_no_more_requests_than_allowed_are_under_way_for_all_calls(tmp_path: Path) -> None:
    under_way, most = 0, 0

    async with opened(tmp_path, "cohere", "requests_at_once:3") as (model, server):
        own = service("cohere")

        def script(asked: Asked) -> Answer:
            nonlocal under_way, most
            under_way = sum(not each.answered.is_set() for each in server.asked)
            most = max(most, under_way)
            return slow(0.01, own(asked).body)

        server.script = script
        made = await asyncio.gather(*(embedded(model) for _ in range(4)))
        assert all(each == wanted() for each in made)
        assert most == 3


async def test_a_small_call_does_not_wait_for_all_of_a_large_one(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "requests_at_once:2") as (model, server):
        large = asyncio.create_task(embedded(model, TEXTS * 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await embedded(model, ["small"]) == wanted(["small"])
        assert not large.done()
        assert len(server.asked) < 20
        assert await large == wanted(TEXTS * 10)


async def test_a_caller_who_leaves_ends_what_is_under_way(tmp_path: Path) -> None:
    four = asyncio.Event()
    async with opened(tmp_path, "cohere") as (model, server):

        def script(_: Asked) -> Answer:
            if len(server.asked) == 4:
                four.set()
            return slow(30, {})

        server.script = script
        call = asyncio.create_task(embedded(model))
        await four.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert all([await asyncio.to_thread(each.left.wait, 5) for each in server.asked])
        server.script = service("cohere")
        assert await embedded(model) == wanted()


async def test_a_silent_service_is_given_up_and_not_asked_again(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere", "timeout:1") as (model, server):
        server.script = lambda _: slow(30, {})
        with pytest.raises(ForwardFailed, match="silent for 1 seconds"):
            await embedded(model, TEXTS[:2])
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("backend", "body"),
    [
        ("openai", {"data": [{"index": 0, "embedding": [1.0] * 8}] * 2}),
        ("openai", {"data": [{"index": 5, "embedding": [1.0] * 8}, {"index": 0, "embedding": [1.0] * 8}]}),
        ("voyage", {"data": [{"embedding": "AAAA"}] * 2}),
        ("voyage", {"data": [{"embedding": base64.b64encode(np.full(8, np.nan, "<f4").tobytes()).decode()}] * 2}),
        ("jina", {"data": [{"embedding": [float("1")] * 8}]}),
        ("gemini", {"embeddings": [{"values": [1.0] * 8}, {}]}),
        ("gemini", {"embeddings": {}}),
        ("nomic", {"embeddings": [[1.0] * 8, "x"]}),
        ("nomic", {}),
        ("elasticsearch", {"inference_results": [{"predicted_value": [[1.0] * 8]}] * 2}),
        ("elasticsearch", {"inference_results": ["x", "y"]}),
        ("huggingface-inference", [[[1.0] * 8] * 3] * 2),
        ("huggingface-inference", {"embeddings": []}),
        ("huggingface-inference", [[1.0] * 8]),
        ("tei", {"data": []}),
    ],
)
async def test_answers_of_every_protocol_are_checked(backend: str, body: Any, tmp_path: Path) -> None:
    async with opened_to_embed(tmp_path, backend) as (model, server):
        server.script = lambda _: Answer(body=body)
        with pytest.raises(ForwardFailed, match=rf"{backend} at 127\.0\.0\.1:\d+ gave"):
            await embedded(model, TEXTS[:2])


async def test_vectors_of_tokens_are_told_from_other_nonsense(tmp_path: Path) -> None:
    async with opened_to_embed(tmp_path, "huggingface-inference") as (model, server):
        server.script = lambda _: Answer(body=[[[1.0] * 8] * 3] * 2)
        with pytest.raises(ForwardFailed, match="vectors of tokens in its list; take a model of sentence-transformers"):
            await embedded(model, TEXTS[:2])


@asynccontextmanager
async def opened_to_embed(folder: Path, backend: str) -> AsyncIterator[tuple[RemoteModel, OpenAIServer]]:
    script: Script = service(backend)
    async with openai_server(script) as server:
        (folder / "m.yaml").write_text(
            f"{{name: m, backend: {backend}, embeddings: true, parameters: {{model: m}}, options: ['base_url:{server.base_url}']}}"
        )
        model = await asyncio.to_thread(open_remote, scan(folder).files[0], lambda _: "")
        assert model.info.dimensions == WIDTH
        yield model, server
        model.close(0)


@pytest.mark.parametrize("backend", ["cohere", "voyage", "tei", "jina"])
async def test_scores_of_every_protocol_are_checked(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, server):
        for body in (
            {},
            [],
            {"results": [{"index": 0, "relevance_score": 1}]},
            {"data": [{"index": 3}]},
            [{"index": 0}],
        ):
            server.script = lambda _, body=body: Answer(body=body)  # type: ignore[misc]
            with pytest.raises(ForwardFailed, match=rf"{backend} at 127\.0\.0\.1:\d+ (gave|did not give)"):
                await model.rerank_inputs("q", TEXTS[:2], RerankOptions())


async def test_scores_are_asked_for_again_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = faulty(server.script, [limited(**SOON), cut_off()])
        made = await model.rerank_inputs("q", TEXTS, RerankOptions())
        assert np.isfinite(made.scores).all()
        assert len(server.asked) == 3


async def test_a_service_that_gives_another_width_than_it_was_asked_for_says_what_to_do(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = lambda _: Answer(body={"embeddings": {"float": [[1.0] * 8]}})
        with pytest.raises(ForwardFailed, match="of 8 values, and 3 were asked for; dimensions_field:cut"):
            await model.embed_inputs(["a"], EmbedOptions(dimensions=3))
