from __future__ import annotations

import base64

import numpy as np
import orjson
import pytest
from sentence_transformers.util import quantize_embeddings

from textmill.http.encodings import Encoding, rows_in

ROWS = np.random.default_rng(7).standard_normal((3, 16)).astype(np.float32)


@pytest.mark.parametrize("form", ["binary", "ubinary"])
def test_bits_are_those_of_sentence_transformers(form: Encoding) -> None:
    items = orjson.loads(rows_in(form)(ROWS, 4))
    theirs = quantize_embeddings(ROWS, precision=form)
    assert [item["embedding"] for item in items] == theirs.tolist()
    assert [item["index"] for item in items] == [4, 5, 6]


def test_zeros_and_what_is_no_number_are_no_bits() -> None:
    rows = np.array([[0.0, np.nan, 1.0, -1.0, np.inf]], np.float32)
    assert orjson.loads(rows_in("ubinary")(rows, 0))[0]["embedding"] == [0b00101000]


def test_of_several_forms_each_vector_has_all() -> None:
    [item, *_] = orjson.loads(rows_in(["float", "base64", "ubinary", "float"])(ROWS, 0))
    assert set(item["embedding"]) == {"float", "base64", "ubinary"}
    assert np.array_equal(np.float32(item["embedding"]["float"]), ROWS[0])
    assert np.array_equal(np.frombuffer(base64.b64decode(item["embedding"]["base64"]), "<f4"), ROWS[0])


def test_a_list_of_one_form_is_an_object_too() -> None:
    assert list(orjson.loads(rows_in(["binary"])(ROWS, 0))[0]["embedding"]) == ["binary"]
