"""How many tokens an input may have, by the files and by what is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.lengths import max_tokens
from textmill.checkpoint.recipe import read_recipe
from textmill.checkpoint.source import Ask
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.graphs import constant_graph


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("asked", "config", "expected"),
    [
        (7, {}, 7),
        (50, {}, 50),
        (100, {}, 64),
        (100, {"model_type": "qwen3", "num_key_value_heads": 4}, 100),
    ],
)
def test_a_length_that_is_asked_for_comes_before_the_files_and_behind_the_positions(
    asked: int, config: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path)
    change(folder / "config.json", **config)
    assert read_recipe(folder, Ask(max_seq_length=asked)).max_tokens == expected


@pytest.mark.parametrize(("positions", "written", "expected"), [(64, 60, 60), (64, None, 64), (None, None, 100)])
def test_a_graph_is_taken_to_have_the_positions_that_the_files_say(
    positions: int | None, written: int | None, expected: int, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path)
    constant_graph(folder / "onnx" / "model.onnx", [1.0] * 32, read_recipe(folder).vocabulary)
    change(folder / "config.json", max_position_embeddings=positions)
    change(folder / "tokenizer_config.json", model_max_length=written)
    asked = Ask(file="onnx/model.onnx", backend="onnx", max_seq_length=100)
    assert read_recipe(folder, asked).max_tokens == expected


@pytest.mark.parametrize(
    ("positions", "written", "tokenizer", "expected"),
    [(62, 64, 1e30, 62), (62, 64, 30, 30), (None, 64, 1e30, 64), (None, -1, 40, 40), (None, None, 40, 40)],
)
def test_the_longest_input_has_a_place_for_every_token(
    positions: int | None, written: int | None, tokenizer: float, expected: int, tmp_path: Path
) -> None:
    config, settings, words = (
        JsonFile(tmp_path, data) for data in ({"max_position_embeddings": written}, {}, {"model_max_length": tokenizer})
    )
    assert max_tokens(config, positions, settings, words) == expected
