from __future__ import annotations

import logging
import sys

import pytest

from textmill.cli.downloads import shown
from textmill.gallery.progress import Progress


def test_a_terminal_has_a_bar_with_file_size_and_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    with shown() as report:
        report(Progress("x.gguf", "waiting"))
        report(Progress("x.gguf", "downloading", 500_000, 1_000_000, 1e6))

    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "x.gguf" in drawn.err
    assert "0.5/1.0 MB" in drawn.err


def test_anything_else_has_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    with shown() as report:
        report(Progress("x.gguf", "done", 1_000_000, 1_000_000))

    assert caplog.messages == ["x.gguf is there (1.0 MB)"]
