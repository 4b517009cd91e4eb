from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from textmill.cli.vectors import FORMATS, Sink, output
from textmill.errors import ConfigInvalid

FACTS = {"fingerprint": "f00d", "prompt": "frage: é", "dimensions": "2"}
VECTORS = np.array([[0.1, -2.5], [1 / 3, 1e-8], [0.0, 7.0]], np.float32)


def written(form: str, *windows: slice) -> bytes:
    stream = io.BytesIO()
    writer = FORMATS[form](Sink(stream, "memory"), FACTS)
    for window in windows:
        writer.write(VECTORS[window])
    writer.finish()
    return stream.getvalue()


TWO_WINDOWS = (slice(0, 2), slice(2, 3))


def test_json_lines_count_on_over_windows_with_the_shortest_numbers() -> None:
    assert written("jsonl", *TWO_WINDOWS).splitlines() == [
        b'{"index":0,"embedding":[0.1,-2.5]}',
        b'{"index":1,"embedding":[0.33333334,1e-8]}',
        b'{"index":2,"embedding":[0.0,7.0]}',
    ]


def test_json_is_one_array_over_windows() -> None:
    assert np.array_equal(np.array(json.loads(written("json", *TWO_WINDOWS)), np.float32), VECTORS)


def test_npy_is_one_array_over_windows() -> None:
    loaded = np.load(io.BytesIO(written("npy", *TWO_WINDOWS)), allow_pickle=False)

    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, VECTORS)


def test_safetensors_has_one_tensor_over_windows_and_the_facts_in_its_head(tmp_path: Path) -> None:
    file = tmp_path / "vectors.safetensors"
    file.write_bytes(written("safetensors", *TWO_WINDOWS))

    assert np.array_equal(safetensors.numpy.load_file(file)["embeddings"], VECTORS)
    with safetensors.safe_open(file, "numpy") as opened:
        assert opened.metadata() == FACTS


def test_safetensors_without_vectors_has_their_width() -> None:
    assert safetensors.numpy.load(written("safetensors"))["embeddings"].shape == (0, 2)


@pytest.mark.parametrize(("form", "expected"), [("jsonl", b""), ("json", b"[]\n")])
def test_nothing_is_still_valid(form: str, expected: bytes) -> None:
    assert written(form) == expected


def test_no_vectors_are_an_empty_array() -> None:
    assert len(np.load(io.BytesIO(written("npy")))) == 0


def test_a_file_is_there_only_when_it_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "vectors"
    file.write_bytes(b"old")

    with output(str(file)) as stream:
        stream.write(b"new")
        stream.flush()
        assert file.read_bytes() == b"old"

    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "vectors"
    file.write_bytes(b"old")

    def interrupted() -> None:
        with output(str(file)) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_written_to_and_not_replaced() -> None:
    with output(os.devnull) as stream:
        stream.write(b"gone")

    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_full_disk_is_told_in_words(form: str) -> None:
    def fill() -> None:
        with output("/dev/full") as sink:
            writer = FORMATS[form](sink, FACTS)
            writer.write(VECTORS)
            writer.finish()

    with pytest.raises(ConfigInvalid, match=r"^/dev/full cannot be written: No space left on device$"):
        fill()


def test_a_full_disk_behind_standard_output_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill() -> None:
        with output("-") as sink:
            sink.write(b"text")
            sink.flush()

    full = Path("/dev/full").open("w")  # noqa: SIM115 - closed below, as the interpreter does at its end
    monkeypatch.setattr("sys.stdout", full)
    with pytest.raises(ConfigInvalid, match=r"^standard output cannot be written: No space left on device$"):
        fill()

    full.close()


def test_a_reader_of_standard_output_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    left = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stdout", left)
    with output("-") as sink:
        sink.write(b"text")
        with pytest.raises(BrokenPipeError):
            sink.flush()

    with pytest.raises(BrokenPipeError):
        left.close()


def test_an_error_of_the_writer_is_not_the_files(tmp_path: Path) -> None:
    def fail() -> None:
        with output(str(tmp_path / "vectors")):
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fail()
