from __future__ import annotations

from collections.abc import Sequence

import pytest

from textmill.contract import BatchReport, Spent
from textmill.telemetry.request import Request, SpanId
from textmill.telemetry.tracer import Span, Tracer, parse

TRACE, CALLER = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REPORT = BatchReport(rows=4, tokens=40, padded_tokens=64, seconds=0.5, deduplicated_rows=2, failed_rows=0)


def dropped(_: Sequence[Span]) -> None: ...


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (SAMPLED, True),
        (SAMPLED[:-2] + b"00", False),
        (SAMPLED[:-2] + b"03", True),
        (b"cc" + SAMPLED[2:], True),
        (b"cc" + SAMPLED[2:] + b"-what-the-future-will-be-like", True),
    ],
)
def test_a_traceparent_names_the_trace_the_caller_and_whether_to_keep_it(value: bytes, sampled: bool) -> None:  # noqa: FBT001 - a table
    assert parse(value) == (TRACE, CALLER, sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        SAMPLED[:-1],
        SAMPLED + b"-more",
        b"ff" + SAMPLED[2:],
        SAMPLED.upper(),
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
    ],
)
def test_a_traceparent_that_is_none_begins_a_trace_of_our_own(value: bytes) -> None:
    assert parse(value) is None
    request = Tracer(1.0, dropped).begin([(b"traceparent", value)])
    assert request is not None
    assert request.parent is None
    assert request.id is not None
    assert request.id.trace not in (0, TRACE)


def test_the_callers_decision_comes_before_the_share() -> None:
    for share in (0.0, 1.0):
        kept = Tracer(share, dropped).begin([(b"host", b"x"), (b"traceparent", SAMPLED)])
        assert kept is not None
        assert kept.parent == SpanId(TRACE, CALLER)
        assert Tracer(share, dropped).begin([(b"traceparent", SAMPLED[:-2] + b"00")]) is None


def test_two_parents_are_none() -> None:
    assert Tracer(0.0, dropped).begin([(b"traceparent", SAMPLED)] * 2) is None


def test_tracestate_is_handed_on_whole() -> None:
    headers = [(b"tracestate", b"a=1,b=2"), (b"traceparent", SAMPLED), (b"tracestate", b"c=3")]
    request = Tracer(1.0, dropped).begin(headers)
    assert request is not None
    assert request.id is not None
    assert request.id.state == "a=1,b=2,c=3"


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 20, 400), (1.0, 2000, 2000)])
def test_about_that_share_of_requests_is_traced(share: float, least: int, most: int) -> None:
    tracer = Tracer(share, dropped)
    assert least <= sum(tracer.begin([]) is not None for _ in range(2000)) <= most


def spans_of(request: Request, tracer: Tracer, spans: list[Span], status: int = 200) -> dict[str, Span]:
    tracer.end(request, "POST /embed", {"http.route": "/embed"}, 2.0, status)
    return {span.name: span for span in spans}


def test_a_request_has_its_stages_as_children() -> None:
    spans: list[Span] = []
    tracer = Tracer(1.0, spans.extend)
    request = tracer.begin([(b"traceparent", SAMPLED), (b"tracestate", b"a=1")])
    assert request is not None
    request.stage("tokenize", request.began + 0.25, 0.5)
    found = spans_of(request, tracer, spans)
    root, child = found["POST /embed"], found["tokenize"]
    assert root.parent == SpanId(TRACE, CALLER, "a=1")
    assert root.serves
    assert root.end_ns - root.start_ns == 2_000_000_000
    assert child.parent == root.id
    assert child.id.trace == TRACE
    assert child.id.state == "a=1"
    assert child.id.span != root.id.span
    assert child.start_ns - root.start_ns == 250_000_000
    assert child.end_ns - child.start_ns == 500_000_000


@pytest.mark.parametrize(("status", "error"), [(200, None), (422, None), (429, None), (503, "503")])
def test_only_the_servers_own_failures_are_errors_of_a_span(status: int, error: str | None) -> None:
    spans: list[Span] = []
    tracer = Tracer(1.0, spans.extend)
    request = tracer.begin([])
    assert request is not None
    assert spans_of(request, tracer, spans, status)["POST /embed"].error == error


def test_a_batch_is_a_trace_of_its_own_that_is_linked_with_those_of_its_rows() -> None:
    spans: list[Span] = []
    tracer = Tracer(1.0, spans.extend)
    first, second = tracer.begin([]), tracer.begin([(b"traceparent", SAMPLED)])
    assert first is not None
    assert second is not None
    began = second.began + 1.0
    traced = ((first, first.began), (second, second.began), (first, first.began))
    tracer.batch("m", BatchReport(4, 40, 64, 0.5, 2, 0, began, traced))
    batch, runtime = spans
    assert (batch.name, runtime.name) == ("batch", "runtime")
    assert batch.parent is None
    assert batch.id.trace not in (first.id and first.id.trace, TRACE)
    assert list(batch.links) == [first.id, second.id]
    assert batch.attributes["textmill.rows"] == 4
    assert runtime.parent == batch.id
    assert runtime.end_ns - runtime.start_ns == 500_000_000
    found = spans_of(second, tracer, spans)
    assert found["queue"].end_ns - found["queue"].start_ns == 1_000_000_000
    assert list(found["inference"].links) == [batch.id]
    assert found["inference"].parent == second.id


def test_a_batch_without_a_traced_row_has_no_span() -> None:
    spans: list[Span] = []
    Tracer(1.0, spans.extend).batch("m", REPORT)
    assert spans == []


def test_a_request_in_very_many_batches_keeps_a_bounded_number_of_stages() -> None:
    request = Request(SpanId(1, 2))
    for _ in range(10_000):
        request.stage("queue", 0.0, 0.0)
    assert len(request.stages) == 256


def test_what_was_written_is_told_of_with_the_time_to_its_first_token() -> None:
    spans: list[Span] = []
    tracer = Tracer(1.0, spans.extend)
    request = tracer.begin([])
    assert request is not None
    request.wrote("writer", Spent(prompt_tokens=9, completion_tokens=4), request.began, 0.25, 0.5)
    found = spans_of(request, tracer, spans)
    first, rest = found["first_token"], found["writing"]
    assert (first.end_ns - first.start_ns, rest.end_ns - rest.start_ns) == (250_000_000, 500_000_000)
    assert rest.start_ns == first.end_ns
    whole = found["POST /embed"]
    assert (whole.attributes["textmill.model"], whole.attributes["textmill.tokens"]) == ("writer", 13)
    assert request.timings.inference == 0.75
