from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import grpc
import pytest
from tests.grpc.conftest import Live, Serve, outcome, refusal

import textmill
from textmill.errors import ForwardFailed, InvalidInput
from textmill.telemetry import Telemetry
from textmill.telemetry.counted import counted
from textmill.telemetry.request import CURRENT, Request
from textmill.telemetry.tracer import Span, Tracer
from textmill.testing.served import RecordingModel

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def count(live: Live, line: str) -> int:
    found = re.search(rf"^{re.escape(line)} (\d+)$", live.telemetry.render()[0].decode(), re.MULTILINE)
    assert found, line
    return int(found[1])


async def test_unary_calls_count_among_teis_requests_and_streams_do_not(live: Live) -> None:
    await outcome(live.call("tei.v1.Embed/Embed", {"inputs": "a"}))
    await outcome(live.call("tei.v1.Rerank/Rerank", {"query": "q", "texts": ["a", "b"]}))
    await live.replies("tei.v1.Embed/EmbedStream", [{"inputs": "a"}, {"inputs": "b"}])

    assert count(live, 'te_request_count{method="single"}') == 1
    assert count(live, 'te_request_success{method="single"}') == 1
    assert count(live, 'te_request_count{method="batch"}') == 1
    assert count(live, 'te_request_success{method="batch"}') == 1


async def test_a_refused_call_is_a_failure_and_one_whose_client_left_is_dropped(
    live: Live, model: RecordingModel
) -> None:
    refused = await refusal(live.call("tei.v1.Embed/Embed", {"inputs": ""}))
    model.hold = True
    left = live.call("tei.v1.Embed/Embed", {"inputs": "a"})
    await model.held.wait()
    left.cancel()
    await model.withdrawn.wait()
    while 'status="CANCELLED"' not in live.telemetry.render()[0].decode():  # noqa: ASYNC110 - nothing says when it counts
        await asyncio.sleep(0.01)

    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert count(live, 'te_request_failure{err="tokenization"}') == 1
    assert count(live, 'te_request_failure{err="dropped"}') == 1
    assert count(live, 'te_request_success{method="single"}') == 0


async def test_a_call_continues_the_trace_of_its_caller(live: Live) -> None:
    spans: list[Span] = []
    live.telemetry.tracer = Tracer(0.0, spans.extend)
    await outcome(live.call("tei.v1.Embed/Embed", {"inputs": "a"}, metadata=[("traceparent", PARENT)]))
    await outcome(live.call("tei.v1.Embed/Embed", {"inputs": "a"}))

    (span,) = (span for span in spans if span.name == "tei.v1.Embed/Embed")
    assert f"{span.id.trace:032x}" == PARENT.split("-")[1]
    assert span.attributes["rpc.grpc.status_code"] == 0
    assert span.attributes["rpc.method"] == "Embed"


async def test_each_message_of_a_stream_counts_once_however_often_it_is_asked(serve: Serve) -> None:
    with textmill.load("all-MiniLM-L6-v2", dtype="float32", max_batch_tokens=512) as loaded:
        telemetry = Telemetry()
        live = await serve(counted(loaded, telemetry), telemetry=telemetry)
        refused = live.call(
            "tei.v1.Embed/EmbedStream", [{"inputs": f"text {i}"} for i in range(60)] + [{"inputs": "word " * 300}]
        )
        error = await refusal(refused)

    assert error.details().startswith("message 60 has 302 tokens")
    assert count(live, "te_embed_count") == 61
    assert count(live, "te_embed_success") == 60


async def test_the_stages_of_requests_leave_out_streams(live: Live) -> None:
    await live.replies("tei.v1.Embed/EmbedStream", [{"inputs": "a"}, {"inputs": "b"}])
    assert count(live, "te_request_queue_duration_count") == 0
    await outcome(live.call("tei.v1.Embed/Embed", {"inputs": "a"}))
    await outcome(live.call("tei.v1.Rerank/RerankStream", [{"query": "q", "text": text} for text in "abc"]))

    for name in ("", "tokenization_", "queue_", "inference_"):
        assert count(live, f"te_request_{name}duration_count") == 2, name


async def test_a_streams_span_has_all_its_messages(live: Live) -> None:
    spans: list[Span] = []
    live.telemetry.tracer = Tracer(1.0, spans.extend)
    messages = [{"inputs": "a", "truncate": bool(i % 2)} for i in range(6)]  # each a group of its own
    await live.replies("tei.v1.Embed/EmbedStream", messages)

    (span,) = (span for span in spans if span.name == "tei.v1.Embed/EmbedStream")
    assert (span.attributes["textmill.inputs"], span.attributes["textmill.tokens"]) == (6, 18)


async def test_a_bug_and_a_failure_of_the_runtime_count_once_and_are_logged(
    live: Live, model: RecordingModel, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (ZeroDivisionError("a bug"), ForwardFailed("out of memory")):
        model.error = error
        await refusal(live.call("tei.v1.Embed/Embed", {"inputs": "a"}))

    assert count(live, 'te_request_failure{err="inference"}') == 2
    assert count(live, 'te_request_count{method="single"}') == 2
    levels = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert levels == [("ERROR", "tei.v1.Embed/Embed failed"), ("ERROR", "tei.v1.Embed/Embed: out of memory")]


LOGGED = [
    ("tei.v1.Embed/Embed", {"inputs": "abc"}, "embed"),
    ("tei.v1.Embed/EmbedAll", {"inputs": "abc"}, "embed_all"),
    ("tei.v1.Predict/PredictPair", {"inputs": ["abc"]}, "predict_pair"),
    ("tei.v1.Rerank/Rerank", {"query": "", "texts": ["abc"]}, "rerank"),
    ("tei.v1.Rerank/RerankStream", [{"query": "", "text": "abc"}], "rerank_stream"),
    ("tei.v1.Embed/EmbedStream", [{"inputs": "ab"}, {"inputs": "c"}], "embed_stream"),
]


@pytest.mark.parametrize(("rpc", "given", "name"), LOGGED)
async def test_a_call_is_a_line_in_the_log_as_a_request_is(
    rpc: str, given: Any, name: str, serve: Serve, model: RecordingModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "textmill.request")
    live = await serve(model, telemetry=Telemetry(log_requests=True))
    await outcome(live.call(rpc, given))
    model.error = InvalidInput("it is wrong")
    await refusal(live.call(rpc, given))

    success, refused = caplog.records
    assert (success.levelname, success.getMessage()) == ("INFO", "Success")
    span = success.__dict__["span"]
    times = ["total_time", "tokenization_time", "queue_time", "inference_time"]
    assert list(span) == ["name", *times, "compute_chars", "compute_tokens"]
    assert (span["name"], span["tokenization_time"], span["compute_chars"]) == (name, "1ms", 3)
    assert span["compute_tokens"] == {"rerank": 4, "rerank_stream": 4, "embed_stream": 7}.get(name, 5)
    assert (refused.levelname, refused.getMessage()) == ("ERROR", "it is wrong")


async def test_a_calls_line_belongs_to_its_trace(
    serve: Serve, model: RecordingModel, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[Request | None] = []

    class Noting(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            found.append(CURRENT.get())

    caplog.set_level(logging.INFO, "textmill.request")
    telemetry = Telemetry(log_requests=True)
    telemetry.tracer = Tracer(0.0, lambda _: None)
    live = await serve(model, telemetry=telemetry)
    logger, noting = logging.getLogger("textmill.request"), Noting()
    logger.addHandler(noting)
    await outcome(live.call("tei.v1.Embed/Embed", {"inputs": "a"}, metadata=[("traceparent", PARENT)]))
    logger.removeHandler(noting)

    [request] = found
    assert request is not None
    assert request.id is not None
    assert f"{request.id.trace:032x}" == PARENT.split("-")[1]
