"""Vectors into a file or standard output: JSON, JSON lines, NumPy's own format, or safetensors with what made them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import orjson

from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Sink:
    """Where bytes go. What goes wrong there is a ConfigInvalid that names it.

    A reader of standard output that has left, such as `head`, stays a BrokenPipeError: the command then ends silently.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, data: bytes) -> None:
        """Write all of the data, sooner or later."""
        with self._told():
            self._stream.write(data)

    def flush(self) -> None:
        """Write what was kept back."""
        with self._told():
            self._stream.flush()

    def close(self) -> None:
        """Flush, and close the file."""
        with self._told():
            self._stream.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with _told_of(self._name):
                yield
        except ConfigInvalid as error:
            if self._stream is sys.stdout.buffer:
                if isinstance(error.__cause__, BrokenPipeError):
                    raise error.__cause__ from None
                _discard(self._stream)
            raise


def _discard(stream: IO[bytes]) -> None:
    """Let a stream's rest go nowhere; the interpreter would try to write it again at its end, and complain."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class Writer(Protocol):
    """Takes vectors in order, a window at a time, and writes them."""

    def write(self, vectors: npt.NDArray[np.float32]) -> None:
        """Take float32 vectors of shape (n, d)."""
        ...

    def finish(self) -> None:
        """Write what must come last."""
        ...


Facts = Mapping[str, str]
"""What made the vectors, such as the model and its fingerprint."""


class JsonLines:
    """An object a line: its index among all inputs, and its embedding."""

    def __init__(self, stream: Sink, _: Facts) -> None:
        self._stream = stream
        self._index = 0

    def write(self, vectors: npt.NDArray[np.float32]) -> None:
        """Write a line for each vector."""
        for index, vector in enumerate(vectors, self._index):
            line = {"index": index, "embedding": vector}
            self._stream.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        self._index += len(vectors)

    def finish(self) -> None:
        """Flush."""
        self._stream.flush()


class Json:
    """One array of arrays, a vector a line."""

    def __init__(self, stream: Sink, _: Facts) -> None:
        self._stream = stream
        self._before = b"["

    def write(self, vectors: npt.NDArray[np.float32]) -> None:
        """Write a line for each vector."""
        for vector in vectors:
            self._stream.write(self._before + orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))
            self._before = b",\n"

    def finish(self) -> None:
        """Close the array."""
        self._stream.write(b"[]\n" if self._before == b"[" else b"]\n")
        self._stream.flush()


class Npy:
    """NumPy's format, version 1.0: one float32 array of shape (n, d). Its head has n, so that all are kept until the end."""

    def __init__(self, stream: Sink, _: Facts) -> None:
        self._stream = stream
        self._parts: list[npt.NDArray[np.float32]] = []

    def write(self, vectors: npt.NDArray[np.float32]) -> None:
        """Keep the vectors."""
        self._parts.append(vectors)

    def finish(self) -> None:
        """Write the head and all vectors."""
        import numpy as np  # noqa: PLC0415 - the command's start should not wait for it

        vectors = np.concatenate(self._parts) if self._parts else np.empty((0, 0), np.float32)
        np.lib.format.write_array(self._stream, vectors, version=(1, 0), allow_pickle=False)
        self._stream.flush()


class Safetensors:
    """safetensors: a float32 tensor ``embeddings`` of shape (n, d), and the facts in the head, so that all are kept until the end."""

    def __init__(self, stream: Sink, facts: Facts) -> None:
        self._stream = stream
        self._facts = facts
        self._parts: list[npt.NDArray[np.float32]] = []

    def write(self, vectors: npt.NDArray[np.float32]) -> None:
        """Keep the vectors."""
        self._parts.append(vectors)

    def finish(self) -> None:
        """Write the head and all vectors."""
        width = int(self._facts["dimensions"])
        shape = (sum(map(len, self._parts)), self._parts[0].shape[1] if self._parts else width)
        size = 4 * shape[0] * shape[1]
        head = {
            "__metadata__": dict(self._facts),
            "embeddings": {"dtype": "F32", "shape": shape, "data_offsets": (0, size)},
        }
        text = orjson.dumps(head)
        text += b" " * (-len(text) % 8)  # the values begin at a multiple of 8
        self._stream.write(len(text).to_bytes(8, "little") + text)
        for part in self._parts:
            self._stream.write(part.astype("<f4", copy=False).tobytes())
        self._stream.flush()


FORMATS: Mapping[str, Callable[[Sink, Facts], Writer]] = {
    "jsonl": JsonLines,
    "json": Json,
    "npy": Npy,
    "safetensors": Safetensors,
}
BINARY = ("npy", "safetensors")


@contextmanager
def output(file: str) -> Iterator[Sink]:
    """A sink to a file, which is there only once it is complete, or to standard output for "-".

    Raises ConfigInvalid at once where the file cannot be made, and as soon as it takes no more.
    """
    if file == "-":
        yield Sink(sys.stdout.buffer, "standard output")
        return
    path = Path(file)
    with _told_of(file):
        in_place = path.exists() and not path.is_file()  # a pipe or a device cannot be replaced
        target = path if in_place else path.with_name(f"{path.name}.{os.getpid()}.part")
        stream = target.open("wb")
    try:
        with closing(Sink(stream, file)) as sink:
            yield sink
        if not in_place:
            with _told_of(file):
                target.replace(path)
    finally:
        if not in_place:
            target.unlink(missing_ok=True)


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Say in words why a file could not be written."""
    try:
        yield
    except OSError as error:
        msg = f"{name} cannot be written: {error.strerror}"
        raise ConfigInvalid(msg) from error
