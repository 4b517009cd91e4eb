"""What LoadModel is told of a model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from textmill.errors import ConfigInvalid
from textmill.folder.external import External
from textmill.folder.scan import scan
from textmill.providers.model_options import model_options

Told = Callable[[str], dict[str, Any]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The fields of the message that are set, for a model file's text."""

    def read(text: str) -> dict[str, Any]:
        (tmp_path / "a.yaml").write_text(f"name: m\nbackend: mine\n{text}\n")
        folder = scan(tmp_path, external={"mine": External("mine", address="127.0.0.1:1")})
        assert [str(problem) for problem in folder.problems if problem.level == "error"] == []
        message = model_options(folder.files[0], tmp_path, 3)
        made: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
        return made

    return read


def test_what_a_file_does_not_say_is_as_localai_has_it(told: Told, tmp_path: Path) -> None:
    assert told("parameters: {model: all-MiniLM-L6-v2}") == {
        "Model": "all-MiniLM-L6-v2",
        "ModelFile": str(tmp_path / "all-MiniLM-L6-v2"),
        "ModelPath": str(tmp_path),
        "ContextSize": 4096,
        "NBatch": 512,
        "Threads": 3,
        "NGPULayers": 99_999_999,
        "MMap": True,
        "FlashAttention": "auto",
    }


def test_fields_go_by_the_names_of_the_protocol(told: Told, tmp_path: Path) -> None:
    made = told(
        "embeddings: true\nreranking: true\nf16: true\nthreads: 2\ncontext_size: 128\ngpu_layers: 0\nmmap: false\n"
        "type: X\nquantization: awq\noptions: ['a:b']\nengine_args: {seed: 1}\nmmproj: p.gguf\nlora_adapters: [l.bin]\n"
        "lora_scales: [0.5]\ndtype: half\nparameters: {model: owner/repo, seed: 7, rope_freq_base: 2.0}"
    )
    assert made == {
        "Model": "owner/repo",
        "ModelFile": str(tmp_path / "owner/repo"),
        "ModelPath": str(tmp_path),
        "Embeddings": True,
        "Reranking": True,
        "F16Memory": True,
        "Threads": 2,
        "FlashAttention": "auto",
        "ContextSize": 128,
        "NBatch": 128,
        "Type": "X",
        "Quantization": "awq",
        "Options": ["a:b"],
        "DType": "half",
        "EngineArgs": '{"seed": 1}',
        "MMProj": str(tmp_path / "p.gguf"),
        "LoraScales": [0.5],
        "Seed": 7,
        "LoraAdapters": [str(tmp_path / "l.bin")],
        "RopeFreqBase": 2.0,
    }


def test_a_model_in_the_folder_is_its_path_there(told: Told, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/w.bin").write_bytes(b"x")

    made = told("embeddings: true\ncontext_size: -1\nparameters: {model: sub/w.bin, batch: 8}")

    assert (made["Model"], made["ModelFile"]) == ("sub/w.bin", str(tmp_path / "sub/w.bin"))
    assert made["NBatch"] == 8
    assert "ContextSize" not in made  # what the model was trained with


def test_a_number_that_the_protocol_cannot_carry_is_named(told: Told) -> None:
    with pytest.raises(ConfigInvalid, match="Seed is 4294967296"):
        told("parameters: {model: x, seed: 4294967296}")
