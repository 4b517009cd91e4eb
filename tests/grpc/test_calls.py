from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from tests.grpc.conftest import METHODS, Live, Serve, outcome, refusal

from textmill.contract import Classifications, Timings
from textmill.errors import ForwardFailed, InvalidInput, Overloaded, Unavailable, WrongTask
from textmill.grpc import calls
from textmill.grpc import messages as messages_of
from textmill.grpc.embed import Dense
from textmill.grpc.failures import CODES
from textmill.grpc.service import Service
from textmill.grpc.settings import GrpcSettings
from textmill.http.timing import timing_headers
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.telemetry.counted import counted
from textmill.testing.served import RecordingModel, RecordingStore, vector_of

UNARY = [
    "Embed/Embed",
    "Embed/EmbedSparse",
    "Embed/EmbedAll",
    "Predict/Predict",
    "Predict/PredictPair",
    "Rerank/Rerank",
]
GIVEN: dict[str, Any] = {
    "tei.v1.Predict/PredictPair": {"inputs": ["a", "b"]},
    "tei.v1.Rerank/Rerank": {"query": "q", "texts": ["a"]},
    "tei.v1.Rerank/RerankStream": {"query": "q", "text": "a"},
    "tei.v1.Tokenize/Decode": {"ids": [97]},
    "tei.v1.Tokenize/DecodeStream": {"ids": [97]},
    "tei.v1.Predict/PredictPairStream": {"inputs": ["a", "b"]},
    "tei.v1.Info/Info": {},
}


def any_call(live: Live, rpc: str, **how: Any) -> Any:
    given = GIVEN.get(rpc, {"inputs": "a"})
    return live.call(rpc, [given] if METHODS[rpc].client_streaming else given, **how)


@pytest.mark.parametrize("rpc", METHODS)
async def test_every_rpc_answers_those_who_have_a_key_and_nobody_else(
    rpc: str, model: RecordingModel, serve: Serve
) -> None:
    live = await serve(model, keys=["old", "new"])

    for metadata in ([("authorization", "Bearer new")], [("authorization", "Bearer old")]):
        assert await outcome(any_call(live, rpc, metadata=metadata)) is grpc.StatusCode.OK
    calls = len(model.calls)
    for metadata in ([], [("authorization", "Bearer nev")], [("x-authorization", "Bearer new")]):
        assert (await refusal(any_call(live, rpc, metadata=metadata))).code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(model.calls) == calls


@pytest.mark.parametrize("rpc", [f"tei.v1.{name}" for name in [*UNARY, "Rerank/RerankStream"]])
async def test_what_is_computed_comes_with_the_keys_that_http_has_as_headers(
    rpc: str, live: Live, model: RecordingModel
) -> None:
    call = any_call(live, rpc)
    await call

    given = dict(await call.initial_metadata())
    made = Classifications(labels=(), scores=vector_of("a"), tokens=(3,), truncated=(False,), timings=Timings())
    assert set(dict(timing_headers(model.info, ["a"], made, 0.0))) <= set(given)
    assert given["x-compute-type"] == "cpu+optimized"
    assert (given["x-tokenization-time"], given["x-queue-time"], given["x-inference-time"]) == ("1", "2", "3")
    assert given["x-compute-time"] == given["x-total-time"]
    assert "x-truncated-inputs" not in given


async def test_what_was_cut_is_said(live: Live) -> None:
    call = live.call("tei.v1.Embed/Embed", {"inputs": "a" * 300, "truncate": True})
    await call

    assert dict(await call.initial_metadata())["x-truncated-inputs"] == "1"


async def test_streams_have_what_was_computed_in_each_message_only(live: Live) -> None:
    call = live.call("tei.v1.Embed/EmbedStream", [{"inputs": "ab"}, {"inputs": "abc"}])
    answers = [answer async for answer in call]

    assert [(a.metadata.compute_chars, a.metadata.compute_tokens) for a in answers] == [(2, 4), (3, 5)]
    assert "x-compute-time" not in dict(await call.initial_metadata())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongTask("it embeds"), grpc.StatusCode.FAILED_PRECONDITION),
        (InvalidInput("too long"), grpc.StatusCode.INVALID_ARGUMENT),
        (Unavailable("it ends"), grpc.StatusCode.UNAVAILABLE),
        (ForwardFailed("it broke"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
@pytest.mark.parametrize("rpc", ["tei.v1.Embed/Embed", "tei.v1.Embed/EmbedStream", "tei.v1.Rerank/RerankStream"])
async def test_an_error_is_a_status_with_its_words(
    rpc: str, error: Exception, code: grpc.StatusCode, live: Live, model: RecordingModel
) -> None:
    model.error = error

    refused = await refusal(any_call(live, rpc))

    assert (refused.code(), refused.details()) == (code, str(error))


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/Embed", "tei.v1.Predict/PredictStream"])
async def test_a_bug_is_logged_and_its_words_are_kept_from_callers(
    rpc: str, live: Live, model: RecordingModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.error = ZeroDivisionError("a secret")

    refused = await refusal(any_call(live, rpc))

    assert refused.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in refused.details()
    assert f"{rpc} failed" in caplog.text
    assert "a secret" in caplog.text


def test_every_status_is_one_that_the_dialect_has() -> None:
    assert {code.name for code in CODES.values()} == {
        "UNAUTHENTICATED",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "INTERNAL",
    }


async def test_too_much_work_says_when_to_come_back(live: Live, model: RecordingModel) -> None:
    model.error = Overloaded("too much", retry_after=2.5)

    refused = await refusal(any_call(live, "tei.v1.Embed/Embed"))

    trailers = dict(refused.trailing_metadata())
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (trailers["retry-after"], trailers["grpc-retry-pushback-ms"]) == ("3", "2500")


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/EmbedStream", "tei.v1.Rerank/Rerank", "tei.v1.Rerank/RerankStream"])
async def test_streams_and_rerank_wait_where_too_much_work_waits(rpc: str, live: Live, model: RecordingModel) -> None:
    model.error = Overloaded("too much", retry_after=0.01)
    under_way = asyncio.ensure_future(outcome(any_call(live, rpc)))
    while len(model.calls) < 3:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    model.error = None

    assert await under_way is grpc.StatusCode.OK


async def test_no_more_calls_compute_than_there_are_permits(model: RecordingModel, serve: Serve) -> None:
    live = await serve(model, limit=1)
    with live.permits.compute():
        refused = await refusal(any_call(live, "tei.v1.Embed/Embed"))

    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await outcome(any_call(live, "tei.v1.Embed/Embed")) is grpc.StatusCode.OK


async def test_a_key_of_the_metadata_names_the_model(serve: Serve) -> None:
    first, second = RecordingModel("first"), RecordingModel("second")
    live = await serve(first, second)

    async def asked(*metadata: tuple[str, str]) -> str:
        answer = await live.call("tei.v1.Info/Info", {}, metadata=metadata)
        await live.replies("tei.v1.Embed/EmbedStream", [{"inputs": "a"}], metadata=metadata)
        return str(answer.model_id)

    assert await asked() == await asked(("x-model", "first")) == await asked(("x-model", "")) == "owner/first"
    assert await asked(("x-model", "second")) == "owner/second"
    assert (len(first.calls), len(second.calls)) == (3, 1)
    refused = await refusal(live.call("tei.v1.Info/Info", {}, metadata=[("x-model", "third")]))
    assert (refused.code(), "third" in refused.details()) == (grpc.StatusCode.NOT_FOUND, True)


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/Embed", "tei.v1.Embed/EmbedStream", "tei.v1.Rerank/RerankStream"])
async def test_work_for_a_client_that_cancels_is_withdrawn(rpc: str, live: Live, model: RecordingModel) -> None:
    model.hold = True
    call = any_call(live, rpc)
    waiting = asyncio.ensure_future(outcome(call))
    await asyncio.wait_for(model.held.wait(), 10)
    call.cancel()

    await asyncio.wait_for(model.withdrawn.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(live.permits.wait_until_idle(), 10)
    assert b'status="CANCELLED"' in live.telemetry.render()[0]


async def test_work_for_a_client_that_vanishes_is_withdrawn(live: Live, model: RecordingModel) -> None:
    model.hold = True
    waiting = asyncio.ensure_future(outcome(any_call(live, "tei.v1.Embed/EmbedStream")))
    await asyncio.wait_for(model.held.wait(), 10)
    await live.channel.close()

    await asyncio.wait_for(model.withdrawn.wait(), 10)
    await asyncio.gather(waiting, return_exceptions=True)


class Leaving:
    """The context of a call whose client leaves before anything is written; grpc says so by an error of its own."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def write(self, message: bytes) -> None:
        raise grpc.aio.InternalError(len(message))


async def test_a_write_to_a_client_that_has_left_ends_the_call_quietly(
    model: RecordingModel, settings: GrpcSettings, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry()
    service = Service(RecordingStore(model), settings, telemetry, Permits(), lambda _: True)

    async def messages() -> AsyncIterator[bytes]:
        yield messages_of.EmbedRequest(inputs="a").SerializeToString()

    with pytest.raises(asyncio.CancelledError):
        await calls.stream(Dense(), service, "tei.v1.Embed/EmbedStream", messages(), Leaving())
    assert caplog.text == ""
    assert b'status="CANCELLED"' in telemetry.render()[0]


async def test_a_client_that_leaves_while_its_answer_waits_to_be_read_is_no_bug(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    call = live.call("tei.v1.Embed/EmbedAllStream", [{"inputs": "a" * 60_000, "truncate": True}] * 20)
    assert await call.read() is not None
    await asyncio.sleep(0.2)  # until nothing more fits between them
    assert live.permits.under_way == 1
    call.cancel()

    await asyncio.wait_for(live.permits.wait_until_idle(), 10)
    assert caplog.text == ""
    assert b'status="CANCELLED"' in live.telemetry.render()[0]


async def test_a_stream_ends_where_a_message_fails_though_the_client_sends_on(live: Live) -> None:
    call = live.call("tei.v1.Embed/EmbedStream", None)
    for text in ("a", "b", ""):
        await call.write({"inputs": text})

    assert [len((await call.read()).embeddings) for _ in range(2)] == [384, 384]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await asyncio.wait_for(live.permits.wait_until_idle(), 10)


async def test_a_stream_answers_while_it_is_open(live: Live) -> None:
    call = live.call("tei.v1.Embed/EmbedStream", None)
    for text in ("a", "b", "c"):
        await call.write({"inputs": text})
        assert (await call.read()).metadata.compute_tokens == 3
    await call.done_writing()

    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_long_streams_are_answered_in_order(live: Live) -> None:
    answers = await live.replies("tei.v1.Embed/EmbedStream", [{"inputs": str(i), "dimensions": 1} for i in range(500)])

    assert [answer.embeddings[0] for answer in answers] == [vector_of(str(i), 1)[0] for i in range(500)]


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/Embed", "tei.v1.Embed/EmbedStream"])
async def test_a_message_beyond_the_limit_is_refused_and_the_next_call_answered(rpc: str, live: Live) -> None:
    large = {"inputs": "a" * (5 << 20)}

    refused = await refusal(live.call(rpc, [large] if rpc.endswith("Stream") else large))

    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await outcome(any_call(live, rpc)) is grpc.StatusCode.OK


async def test_requests_are_counted_by_rpc_status_and_model(live: Live, model: RecordingModel) -> None:
    await outcome(any_call(live, "tei.v1.Embed/EmbedStream"))
    await refusal(live.call("tei.v1.Embed/Embed", {"inputs": ""}))
    await refusal(live.call("tei.v1.Embed/Embed", {"inputs": "a"}, metadata=[("x-model", "unknown")]))

    text = live.telemetry.render()[0].decode()
    for labels in (
        'model="tiny",route="tei.v1.Embed/EmbedStream",status="OK"',
        'model="tiny",route="tei.v1.Embed/Embed",status="INVALID_ARGUMENT"',
        'model="",route="tei.v1.Embed/Embed",status="NOT_FOUND"',
    ):
        assert f"textmill_requests_total{{{labels}}} 1" in text
    assert f'textmill_inputs_total{{model="{model.info.name}"}} 1' in text


async def test_an_unknown_rpc_is_unimplemented(live: Live) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await live.channel.unary_unary("/tei.v1.Embed/EmbedTwice")(b"")

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/Embed", "tei.v1.Embed/EmbedStream", "tei.v1.Rerank/RerankStream"])
async def test_a_call_that_the_server_gives_up_on_is_told_so_and_counts_as_over_http(
    rpc: str, live: Live, model: RecordingModel
) -> None:
    model.hold = True
    under_way = asyncio.ensure_future(refusal(any_call(live, rpc)))
    await asyncio.wait_for(model.held.wait(), 10)
    await live.server.stop()

    refused = await under_way
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.details() == "the server is shutting down and did not get to this request in time"
    assert model.withdrawn.is_set()
    text = live.telemetry.render()[0].decode()
    assert f'route="{rpc}",status="UNAVAILABLE"}} 1\n' in text
    assert 'te_request_failure{err="dropped"} 0\n' in text
    counted = int(not rpc.endswith("EmbedStream"))
    assert f'te_request_failure{{err="inference"}} {counted}\n' in text


async def test_a_client_that_does_not_read_does_not_hold_up_the_end(live: Live) -> None:
    call = live.call("tei.v1.Embed/EmbedAllStream", [{"inputs": "a" * 60_000, "truncate": True}] * 20)
    assert await call.read() is not None
    await asyncio.sleep(0.2)  # until nothing more fits between them
    await asyncio.wait_for(live.server.stop(), 5)
    assert live.permits.under_way == 0


async def test_an_input_that_waited_for_a_place_counts_once(model: RecordingModel, serve: Serve) -> None:
    telemetry = Telemetry()
    live: Live = await serve(counted(model, telemetry), limit=1, telemetry=telemetry)
    with live.permits.compute():
        asked = asyncio.create_task(live.replies("tei.v1.Embed/EmbedStream", [{"inputs": "a"}, {"inputs": "b"}]))
        await asyncio.sleep(0.1)
        assert not model.calls
    assert len(await asked) == 2
    text = live.telemetry.render()[0].decode()
    assert "te_embed_count 2\n" in text
    assert "te_embed_success 2\n" in text


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


@pytest.mark.parametrize("rpc", ["tei.v1.Embed/EmbedStream", "tei.v1.Rerank/RerankStream"])
async def test_a_silent_stream_is_in_the_way_of_no_other_model(rpc: str, model: RecordingModel, serve: Serve) -> None:
    store = RecordingStore(model)
    live = await serve(store)
    heard, go_on = asyncio.Event(), asyncio.Event()

    async def messages() -> AsyncIterator[Any]:
        yield GIVEN.get(rpc, {"inputs": "a"})
        heard.set()
        await go_on.wait()

    call = live.call(rpc, messages())
    await heard.wait()
    await until(lambda: bool(model.calls) and not store.leases)
    go_on.set()
    assert await outcome(call) is grpc.StatusCode.OK


async def test_a_stream_whose_model_changes_ends_before_it_mixes_vectors(model: RecordingModel, serve: Serve) -> None:
    live = await serve(model)

    async def messages() -> AsyncIterator[Any]:
        yield {"inputs": "a"}
        await until(lambda: bool(model.calls))
        model.info = replace(model.info, fingerprint="another")
        yield {"inputs": "b"}

    error = await refusal(live.call("tei.v1.Embed/EmbedStream", messages()))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "has changed since this stream began" in error.details()
