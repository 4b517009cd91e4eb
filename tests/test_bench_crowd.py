"""The crowd must notice what it is there to notice."""

from __future__ import annotations

import re

import orjson
import pytest
from bench.crowd import grown
from bench.crowd_cases import BAD, CHAT, OK, Case, right, wrong
from bench.sharing import told_until
from bench.writing_clients import FIRST, Read

REASON = orjson.dumps({"error": {"message": "no", "type": "invalid_request_error"}})
ANSWER = orjson.dumps({"choices": [{}], "usage": {"total_tokens": 3}})
PIECE = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
DONE = b"data: [DONE]\n\n"


def case(statuses: tuple[int, ...]) -> Case:
    return Case("asked", CHAT, b"{}", statuses)


@pytest.mark.parametrize(
    ("statuses", "status", "body"),
    [
        (OK, 200, ANSWER),
        (OK, 200, PIECE + DONE),
        (BAD, 400, REASON),
        (BAD, 200, b": wait\n\ndata: " + REASON + b"\n\n" + DONE),
    ],
    ids=["answered", "streamed", "refused", "refused within a stream"],
)
def test_right_answers_and_refusals_with_a_reason_pass(statuses: tuple[int, ...], status: int, body: bytes) -> None:
    assert not case(statuses).wrong(status, body)


@pytest.mark.parametrize(
    ("statuses", "status", "body", "sentence"),
    [
        (OK, 500, REASON, "status 500"),
        (BAD, 200, ANSWER, "status 200"),
        (BAD, 200, PIECE + DONE, "status 200"),
        (BAD, 400, b'{"error": {}}', "without a reason"),
        (BAD, 400, b"<html>", "without a reason"),
        (OK, 200, PIECE, "without an end"),
        (OK, 200, PIECE + b"data: " + REASON + b"\n\n" + DONE, "an error in a stream"),
        (OK, 200, b'{"choices": []}', "nothing in"),
    ],
)
def test_anything_else_is_told(statuses: tuple[int, ...], status: int, body: bytes, sentence: str) -> None:
    assert re.search(sentence, case(statuses).wrong(status, body))


def test_requests_are_all_of_one_name_a_body_and_go_over_the_wire_whole() -> None:
    cases = [*right(), *wrong(64)]
    assert len({(each.kind, each.path, each.body) for each in cases}) == len(cases)
    for each in cases:
        head, _, body = each.at("host:1").partition(b"\r\n\r\n")
        assert head.endswith(b"Content-Length: %d" % len(body))


def test_memory_that_grows_behind_the_middle_is_told() -> None:
    assert not grown([50.0] * 10 + [100.0] * 50)
    assert grown([100.0 + second for second in range(60)]) == ["memory grew from 132 to 156 MB"]


def test_a_stream_is_timed_from_its_first_text_and_counted_until_a_time() -> None:
    read = Read(begin=1.0, first=3.0, times=[2.0, 3.0, 3.5, 5.0], parts=[b"", PIECE, PIECE, PIECE + DONE])
    assert read.to_first_ms == 2000
    assert read.gaps_ms == [500, 1500]
    assert told_until(read, 4.0) == 2
    assert FIRST.search(PIECE)
    assert not FIRST.search(b'{"delta":{"role":"assistant","content":""}}')
    with pytest.raises(ValueError, match="without usage"):
        _ = read.usage
