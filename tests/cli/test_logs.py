from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from textmill.cli.logs import start_logging
from textmill.telemetry.request import CURRENT, Request, SpanId

SPAN = {"name": "embed", "total_time": "3.5ms", "queue_time": "1ms", "compute_tokens": 7}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, quiet = logging.getLogger(), [logging.getLogger(name) for name in ("uvicorn", "httpx")]
    before, levels = (root.level, list(root.handlers)), [logger.level for logger in quiet]
    yield
    logging.getLogger("huggingface_hub").__class__ = logging.Logger
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for logger, level in zip(quiet, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def in_a_trace() -> Iterator[None]:
    entered = CURRENT.set(Request(SpanId(0xAB, 0xCD)))
    yield
    CURRENT.reset(entered)


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(capsys.readouterr().err.splitlines()[-1])
    return line


def test_a_line_of_json_has_the_keys_of_teis(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "json")
    logging.getLogger("textmill.x").warning("größer als %d", 7)
    line = last_json(capsys)
    assert line.pop("timestamp")[-8:].endswith("Z")
    assert line.pop("line_number") > 0
    assert line == {"level": "WARN", "message": "größer als 7", "target": "textmill.x", "filename": "test_logs.py"}


def test_the_time_is_utc_with_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "json")
    record = logging.makeLogRecord({"created": 0.25, "levelname": "INFO", "levelno": 20, "msg": "x"})
    logging.getLogger("textmill.x").handle(record)
    assert last_json(capsys)["timestamp"] == "1970-01-01T00:00:00.250000Z"


@pytest.mark.usefixtures("in_a_trace")
def test_a_line_says_which_trace_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "json")
    logging.getLogger("textmill.x").info("Success", extra={"span": SPAN})
    line = last_json(capsys)
    assert line["trace_id"] == "000000000000000000000000000000ab"
    assert line["span_id"] == "00000000000000cd"
    assert line["span"] == SPAN
    assert line["spans"] == [SPAN]


@pytest.mark.usefixtures("in_a_trace")
def test_without_spans_it_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "json", spans=False)
    logging.getLogger("textmill.x").info("Success", extra={"span": SPAN})
    assert not {"trace_id", "span_id", "span", "spans"} & set(last_json(capsys))


def test_an_exception_is_one_line_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "json")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("textmill.x").exception("it broke")
    assert "ZeroDivisionError" in last_json(capsys)["exception"]


def test_a_line_of_text_has_the_times_of_a_request_before_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", "text")
    logging.getLogger("textmill.x").info("Success", extra={"span": SPAN})
    logging.getLogger("textmill.x").info("plain")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith('INFO textmill.x: embed{total_time="3.5ms" queue_time="1ms" compute_tokens=7}: Success')
    assert second.endswith("INFO textmill.x: plain")


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_of_libraries_come_once_and_without_passwords(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("info", form)
    theirs = logging.getLogger("huggingface_hub")
    theirs.addHandler(logging.StreamHandler())  # as the library does when it is imported
    logging.getLogger("huggingface_hub.x").warning("'%s' thrown while requesting HEAD %s", "x", "http://me:s3cret@h/x")
    try:
        raise ValueError("http://me:s3/cret@h/x")  # noqa: EM101, TRY301 - as a library may
    except ValueError:
        logging.getLogger("textmill").exception("a bug")
    told = capsys.readouterr().err
    assert told.count("thrown while requesting HEAD http://***@h/x") == 1
    assert "ValueError: http://***@h/x" in told
    assert "cret" not in told
    assert theirs.handlers == []
