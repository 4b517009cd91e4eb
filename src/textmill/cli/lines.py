"""Texts from files or standard input, one a line, in windows of bounded size."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from textmill.errors import InvalidInput

WINDOW_LINES = 4096
WINDOW_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """Texts that are embedded together, and the bytes that they were read from."""

    texts: Sequence[str]
    size: int


def windows(files: Sequence[str]) -> Iterator[Window]:
    """The lines of the files, in order; "-" is standard input. Line ends are no part of a text; an empty line is one.

    At most WINDOW_LINES lines a window, and no more after WINDOW_BYTES. Raises InvalidInput for a file that cannot be read
    and for a line that is not UTF-8, by file and line number.
    """
    texts: list[str] = []
    size = 0
    for text, length in lines(files):
        texts.append(text)
        size += length
        if len(texts) == WINDOW_LINES or size >= WINDOW_BYTES:
            yield Window(texts, size)
            texts, size = [], 0
    if texts:
        yield Window(texts, size)


def total_size(files: Iterable[str]) -> int | None:
    """Bytes of all files together; None where one has no size, such as standard input."""
    paths = [Path(file) for file in files]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else None


def lines(files: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The lines of the files as they come, each with its size in bytes; raises as `windows`."""
    for file in files:
        name = "standard input" if file == "-" else file
        try:
            with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
                for number, line in enumerate(stream, 1):
                    yield _text(line, f"line {number} of {name}"), len(line)
        except OSError as error:
            msg = f"{name} cannot be read: {error.strerror}"
            raise InvalidInput(msg) from error


def _text(line: bytes, where: str) -> str:
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        msg = f"{where} is not UTF-8 (byte {error.start + 1}); convert it first, as with iconv -t UTF-8"
        raise InvalidInput(msg) from error
