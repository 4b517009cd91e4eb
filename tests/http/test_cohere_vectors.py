"""Vectors as bytes and bits."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from textmill.http.cohere_vectors import TYPES, int8, step, uint8
from textmill.tasks.bits import signed_bits, unsigned_bits

Vectors = npt.NDArray[np.float32]


def unit(rows: int, dimensions: int) -> Vectors:
    made = np.random.default_rng(dimensions).standard_normal((rows, dimensions)).astype(np.float32)
    scaled: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return scaled


@pytest.mark.parametrize("dimensions", [8, 64, 384, 1024, 4096])
def test_bytes_give_the_vector_back(dimensions: int) -> None:
    rows = unit(50, dimensions)
    made = int8(rows).astype(np.float32) * step(dimensions)
    assert np.abs(made - rows).max() <= step(dimensions) * 0.501
    assert ((made * rows).sum(axis=1) / np.linalg.norm(made, axis=1)).min() > 0.9997


def test_bytes_of_different_calls_have_the_same_step() -> None:
    rows = unit(20, 384)
    assert np.array_equal(int8(rows)[7:8], int8(rows[7:8]))
    assert np.array_equal(int8(rows * 3), int8(rows))


def test_what_reaches_too_far_is_cut_off_and_nothing_stays_nothing() -> None:
    dominant = np.zeros((1, 1024), np.float32)
    dominant[0, :2] = (0.8, -0.6)
    assert int8(dominant)[0, :3].tolist() == [127, -127, 0]
    assert int8(np.zeros((1, 8), np.float32)).tolist() == [[0] * 8]
    assert int8(np.array([[1, 0], [0, -1]], np.float32)).tolist() == [[127, 0], [0, -127]]


def test_unsigned_bytes_are_the_signed_ones_plus_128() -> None:
    rows = unit(10, 16)
    assert np.array_equal(uint8(rows).astype(int), int8(rows).astype(int) + 128)


def test_every_type_is_json() -> None:
    rows = unit(2, 16)
    made = {name: orjson.loads(encode(rows, 0)) for name, encode in TYPES.items()}
    assert np.array_equal(np.array(made["float"], np.float32), rows)
    assert made["int8"] == int8(rows).tolist()
    assert made["uint8"] == uint8(rows).tolist()
    assert made["binary"] == signed_bits(rows).tolist()
    assert made["ubinary"] == unsigned_bits(rows).tolist()
    assert [np.frombuffer(b64decode(text), "<f4").tolist() for text in made["base64"]] == rows.tolist()
