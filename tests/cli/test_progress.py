from __future__ import annotations

import logging
import sys

import pytest

from textmill.cli.progress import Lines, progress, waiting


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 100, bar=True) as advance:
        advance(10, 10)

    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_counts_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    with progress("work", 100, bar=True) as advance:
        advance(1000, 40)
        advance(234, 60)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1,234 texts" in shown.err


def test_the_log_gets_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    times = iter([0.0, 4.0, 11.0, 12.0])
    lines = Lines("work", lambda: next(times))

    for _ in range(3):
        lines.advance(110, 0)

    assert caplog.messages == ["work: 220 texts, 20 texts/s"]


def test_a_long_wait_is_told_of_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ""
    with waiting("loading mill", every_s=0.01):
        while shown.count("\n") < 2:
            shown += capsys.readouterr().err

    assert shown.startswith("textmill: loading mill, 0 s\n")


def test_a_short_wait_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("loading mill"):
        pass

    assert capsys.readouterr() == ("", "")
