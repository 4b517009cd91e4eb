"""Options of the wrong kind, at the door of every verb's options."""

from __future__ import annotations

from dataclasses import fields
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest

from textmill.contract import (
    Chunking,
    ChunkOptions,
    ClassifyOptions,
    EmbedOptions,
    MultiOptions,
    RerankOptions,
    SparseOptions,
    TextOptions,
    TokenizeOptions,
    ZeroShotOptions,
    texts,
)
from textmill.errors import InvalidInput
from textmill.typed import Typed

WRONG: list[tuple[type[Typed], str, Any, str]] = [
    (TextOptions, "prompt", 3, "prompt is 3; it must be a text or None"),
    (TextOptions, "prompt", ["a"], "prompt is ['a']; it must be a text or None"),
    (TextOptions, "prompt_name", b"query", "prompt_name is b'query'; it must be a text or None"),
    (TextOptions, "truncate", "no", "truncate is 'no'; it must be True or False"),
    (TextOptions, "truncate", 1, "truncate is 1; it must be True or False"),
    (TextOptions, "truncate_side", "top", "truncate_side is 'top'; it must be one of left, right or None"),
    (EmbedOptions, "dimensions", "8", "dimensions is '8'; it must be a whole number or None"),
    (EmbedOptions, "dimensions", True, "dimensions is True; it must be a whole number or None"),
    (EmbedOptions, "dimensions", np.float64(8), "it must be a whole number or None"),
    (EmbedOptions, "dimensions", np.arange(3), "dimensions is array([0, 1, 2]); it must be a whole number or None"),
    (EmbedOptions, "normalize", 1, "normalize is 1; it must be True or False or None"),
    (EmbedOptions, "pooling", "cls", "pooling is 'cls'; it must be one of own, mean, last, decayed_mean or None"),
    (EmbedOptions, "half_life", 1.5, "half_life is 1.5; it must be a whole number or None"),
    (EmbedOptions, "adapter", 0, "adapter is 0; it must be a text or None"),
    (EmbedOptions, "chunking", 64, "chunking is 64; it must be a Chunking or None"),
    (EmbedOptions, "prompt", 3, "prompt is 3; it must be a text or None"),
    (Chunking, "window", "a", "window is 'a'; it must be a whole number or None"),
    (Chunking, "window", 2.5, "window is 2.5; it must be a whole number or None"),
    (Chunking, "overlap", 1.5, "overlap is 1.5; it must be a whole number"),
    (ChunkOptions, "chunking", None, "chunking is None; it must be a Chunking"),
    (ChunkOptions, "late", 0, "late is 0; it must be True or False"),
    (SparseOptions, "kind", "Query", "kind is 'Query'; it must be one of query, document"),
    (SparseOptions, "kind", None, "kind is None; it must be one of query, document"),
    (SparseOptions, "top", 1.0, "top is 1.0; it must be a whole number or None"),
    (MultiOptions, "kind", ["query"], "kind is ['query']; it must be one of query, document"),
    (ClassifyOptions, "scoring", "Raw", "scoring is 'Raw'; it must be one of softmax, sigmoid, raw or None"),
    (ClassifyOptions, "scoring", 3, "scoring is 3; it must be one of softmax, sigmoid, raw or None"),
    (ZeroShotOptions, "hypothesis", None, "hypothesis is None; it must be a text"),
    (ZeroShotOptions, "multi_label", "yes", "multi_label is 'yes'; it must be True or False"),
    (RerankOptions, "instruction", ("a", "b"), "instruction is ('a', 'b'); it must be a text or None"),
    (TokenizeOptions, "special_tokens", 1, "special_tokens is 1; it must be True or False"),
]


@pytest.mark.parametrize(("options", "field", "value", "message"), WRONG)
def test_an_option_of_the_wrong_kind_is_named(options: type[Typed], field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as told:
        options(**{field: value})
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.param == field


def test_every_verbs_options_are_checked() -> None:
    made = [value for name, value in vars(texts).items() if name.endswith("Options")]
    assert {options for options, *_ in WRONG} == {*made, Chunking}
    assert all(issubclass(options, Typed) for options in made)
    assert {field.name for options in made for field in fields(options)} - {"spans"} <= {
        field for _, field, *_ in WRONG
    }


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(InvalidInput) as told:
        EmbedOptions(prompt=["word"] * 1000)  # type: ignore[arg-type]  # what is tested
    assert len(str(told.value)) < 200


class Side(StrEnum):
    QUERY = "query"


def test_numbers_of_numpy_and_texts_of_an_enum_become_plain() -> None:
    options = EmbedOptions(dimensions=np.int64(8), normalize=np.True_, prompt_name=Side.QUERY)  # type: ignore[arg-type]  # numpy's
    assert [type(value) for value in (options.dimensions, options.normalize, options.prompt_name)] == [int, bool, str]
    assert SparseOptions(kind=Side.QUERY).kind == "query"  # type: ignore[arg-type]  # as the enum's users have it


def test_a_whole_number_of_an_enum_becomes_plain() -> None:
    class Width(IntEnum):
        SMALL = 8

    options = EmbedOptions(dimensions=Width.SMALL)
    assert type(options.dimensions) is int
    assert options.dimensions == 8
