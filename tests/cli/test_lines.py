from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from textmill.cli.lines import WINDOW_BYTES, WINDOW_LINES, total_size, windows
from textmill.errors import InvalidInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "texts.txt"


def texts(*files: object) -> list[str]:
    return [text for window in windows([str(file) for file in files]) for text in window.texts]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\n\nb\n", ["a", "", "", "b"]),
        (b" a \n\tb\x00\n", [" a ", "\tb\x00"]),
        ("ünï\u2028cöde\x0c\n".encode(), ["ünï\u2028cöde\x0c"]),
    ],
)
def test_each_line_is_a_text_and_an_empty_line_an_empty_one(file: Path, content: bytes, expected: list[str]) -> None:
    file.write_bytes(content)

    assert texts(file) == expected


def test_files_and_standard_input_are_read_in_the_order_given(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"from file")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from stdin\n")))

    assert texts(file, "-", file) == ["from file", "from stdin", "from file"]


def test_windows_are_bounded_in_lines(file: Path) -> None:
    file.write_bytes(b"x\n" * (WINDOW_LINES + 1))

    assert [(len(window.texts), window.size) for window in windows([str(file)])] == [(WINDOW_LINES, 8192), (1, 2)]


def test_windows_are_bounded_in_bytes(file: Path) -> None:
    file.write_bytes((b"x" * (WINDOW_BYTES // 2) + b"\n") * 3)

    assert [len(window.texts) for window in windows([str(file)])] == [2, 1]


def test_a_line_that_is_not_utf8_is_named(file: Path) -> None:
    file.write_bytes(b"good\nba\xffd\n")

    with pytest.raises(InvalidInput, match=r"line 2 of .*texts.txt is not UTF-8 \(byte 3\)"):
        texts(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(InvalidInput, match=r"texts.txt cannot be read: No such file"):
        texts(file)


def test_the_total_is_known_only_where_every_file_has_a_size(file: Path) -> None:
    file.write_bytes(b"12345")

    assert total_size([str(file), str(file)]) == 10
    assert total_size([str(file), "-"]) is None
