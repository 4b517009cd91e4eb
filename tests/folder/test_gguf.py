from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import ModelBroken
from textmill.folder.gguf import GgufFacts, read_gguf
from textmill.testing.gguf import write_gguf


def test_the_facts_stand_anywhere_in_the_head(tmp_path: Path) -> None:
    file = write_gguf(
        tmp_path / "m.gguf",
        {
            "tokenizer.ggml.tokens": ["a", "bc", ""],
            "general.architecture": "bert",
            "general.type": "model",
            "bert.context_length": 512,
            "bert.rope": 1.5,
            "bert.causal": False,
            "tokenizer.ggml.types": [1, 2, 3],
            "bert.pooling_type": 2,
            "tokenizer.chat_template": "{{ x }}",
        },
    )

    assert read_gguf(file) == GgufFacts("bert", 512, "cls", chat_template=True, type="model")


def test_what_is_not_said_is_empty(tmp_path: Path) -> None:
    assert read_gguf(write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"})) == GgufFacts("llama")


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    first = read_gguf(write_gguf(file, {"general.architecture": "bert"}))
    second = read_gguf(write_gguf(file, {"general.architecture": "llama", "more": 1}))

    assert (first.architecture, second.architecture) == ("bert", "llama")


def test_a_file_that_breaks_off_anywhere_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "whole.gguf", {"general.architecture": "bert", "a": ["x", "y"], "b": 3})
    content = file.read_bytes()
    short = tmp_path / "short.gguf"

    for length in range(len(content)):
        short.write_bytes(content[:length])
        with pytest.raises(ModelBroken, match=r"short\.gguf is no whole GGUF file"):
            read_gguf(short)


@pytest.mark.parametrize("place", range(4, 60))
def test_wild_numbers_are_refused_or_read_and_never_cost_memory(place: int, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "m.gguf", {"general.architecture": "bert", "a": ["x"], "b": [1]})
    content = bytearray(file.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    wild = tmp_path / "wild.gguf"
    wild.write_bytes(content)

    try:
        read_gguf(wild)
    except ModelBroken as error:
        assert "wild.gguf" in str(error)  # noqa: PT017 - either way is fine


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="version is 1"):
        read_gguf(write_gguf(tmp_path / "m.gguf", {}, version=1))
