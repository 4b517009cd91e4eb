"""The load must notice what it is there to notice."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import orjson
import pytest
from bench.load import grown
from bench.load_cases import Case, Cases
from bench.load_clients import Crowd

VECTORS = np.eye(2, 4, dtype=np.float32)
REQUEST = b"POST /embed HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"

Answer = Callable[[int], bytes]


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


RIGHT = answer(orjson.dumps(VECTORS.tolist()))


@pytest.fixture
def cases() -> Cases:
    made = Cases.__new__(Cases)  # without a model
    made.right = made.malformed = made.long = [Case("right", REQUEST, (200,), VECTORS)]
    return made


@asynccontextmanager
async def server(reply: Answer) -> AsyncIterator[int]:
    """Answers each request with what ``reply`` makes of its number; nothing closes the connection."""
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        try:
            while await reader.readexactly(len(REQUEST)):
                number += 1
                writer.write(reply(number))
                if not reply(number):
                    break
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


async def asked(reply: Answer, cases: Cases, *, leaving: bool = False) -> Crowd:
    async with server(reply) as port:
        crowd = Crowd("127.0.0.1", port, cases)
        if leaving:
            crowd.left_at = time.monotonic()
        await crowd.run(4, 0.3)
    return crowd


async def test_right_answers_are_counted_and_nothing_else_is_said(cases: Cases) -> None:
    tally = (await asked(lambda _: RIGHT, cases)).tally
    assert tally.answers["right", 200] == len(tally.milliseconds) == tally.answered > 0
    assert tally.left > 0
    assert tally.failures == []


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (answer(orjson.dumps(VECTORS[::-1].tolist())), "cosine 0.0000"),
        (answer(orjson.dumps(VECTORS[:1].tolist())), r"\(1, 4\) vectors"),
        (answer(b"busy", "500 Internal Server Error"), "status 500"),
        (answer(b"no", "404 Not Found"), "status 404"),
        (b"", "no answer"),
    ],
    ids=["in another order", "too few", "a server error", "another status", "closed without a word"],
)
async def test_a_wrong_or_missing_answer_is_told(reply: bytes, sentence: str, cases: Cases) -> None:
    tally = (await asked(lambda _: reply, cases)).tally
    assert any(re.search(sentence, failure) for failure in tally.failures), tally.failures


async def test_a_refusal_is_no_failure_while_the_server_leaves(cases: Cases) -> None:
    refusal = answer(b"", "503 Service Unavailable")
    assert (await asked(lambda _: refusal, cases)).tally.failures
    leaving = (await asked(lambda _: refusal, cases, leaving=True)).tally
    assert leaving.refused > 0
    assert leaving.failures == []


def test_growing_memory_is_told_and_a_short_run_says_nothing_of_it() -> None:
    assert grown([100.0] * 60) == []
    assert grown([100.0 + second for second in range(60)]) == ["memory grew from 114 to 154 MB"]
    assert grown([100.0, 200.0]) == []
