from __future__ import annotations

import os
from pathlib import Path

import pytest

from textmill.errors import ModelBroken
from textmill.folder.weights import Facts, is_model_folder, look
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3, write_json
from textmill.testing.gguf import write_gguf
from textmill.testing.heads import tiny_classifier, tiny_splade


def bare(folder: Path, config: object, *files: str) -> Path:
    """A folder with that config.json and these empty files."""
    folder.mkdir()
    write_json(folder / "config.json", config)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_model_of_sentence_transformers(tmp_path: Path) -> None:
    facts = look(tiny_bert(tmp_path / "m"))

    assert (facts.form, facts.model_type, facts.trained_as) == ("safetensors", "bert", "BertModel")
    assert (facts.modules, facts.kind, facts.context) == (
        ("Transformer", "Pooling", "Normalize"),
        "",
        64,
    )


def test_a_sparse_model_and_a_classifier(tmp_path: Path) -> None:
    assert look(tiny_splade(tmp_path / "s")).kind == "SparseEncoder"
    assert look(tiny_classifier(tmp_path / "c")).labels == 3
    assert look(tiny_qwen3(tmp_path / "q")).model_type == "qwen3"


@pytest.mark.parametrize(
    ("files", "config", "form"),
    [
        (("model.safetensors",), {}, "safetensors"),
        (("model-00001-of-00002.safetensors", "model.safetensors.index.json"), {}, "safetensors"),
        (("onnx/model.onnx",), {}, "onnx"),
        (("model.onnx",), {}, "onnx"),
        (("openvino_model.xml", "openvino_model.bin"), {}, "openvino"),
        (("model.safetensors", "onnx/model.onnx"), {}, "safetensors"),
        (("model.safetensors",), {"quantization_config": {"quant_method": "gptq"}}, "gptq"),
        (("model.safetensors",), {"quantization_config": {"quant_method": "awq"}}, "awq"),
        (("model.safetensors",), {"quantization_config": {"quant_method": "new"}}, "quantised"),
        (("gptq_model-4bit-128g.safetensors", "quantize_config.json"), {}, "gptq"),
        (("model.safetensors",), {"model_type": "model2vec"}, "static"),
        (("pytorch_model.bin",), {}, "pytorch"),
    ],
)
def test_forms_of_folders(files: tuple[str, ...], config: object, form: str, tmp_path: Path) -> None:
    folder = bare(tmp_path / "m", config, *files)

    assert look(folder).form == form
    assert is_model_folder(folder)


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    assert not is_model_folder(bare(tmp_path / "m", {}, "README.md"))
    assert not is_model_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "form"),
    [
        (b"lmgg\x00\x00\x00\x00", "bert", "ggml"),
        (b"tjgg\x01\x00\x00\x00", "ggml-model.bin", "ggml"),
        (b"PK\x03\x04....", "model.bin", "pickle"),
        (b"", "model.onnx", "unknown"),
        (b"hello", "notes", "unknown"),
        (b"", "empty", "unknown"),
    ],
)
def test_forms_of_files_by_their_content(content: bytes, name: str, form: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    assert look(tmp_path / name) == Facts(form)  # type: ignore[arg-type]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert look(tmp_path / "pipe") == Facts("unknown")


def test_a_gguf_file_of_any_name(tmp_path: Path) -> None:
    facts = look(write_gguf(tmp_path / "file.gguf.bin", {"general.architecture": "bert", "bert.context_length": 512}))

    assert (facts.form, facts.model_type, facts.context) == ("gguf", "bert", 512)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", "config.json cannot be read as JSON"),
        ("config.json", "[1]", "config.json must hold a JSON object"),
        ("modules.json", "{}", "must list modules"),
        ("modules.json", '[{"type": "a.Transformer", "path": "../.."}]', "path below the model"),
    ],
)
def test_a_damaged_description_names_its_file(name: str, content: str, words: str, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "m")
    (folder / name).write_text(content)

    with pytest.raises(ModelBroken, match=words):
        look(folder)


def test_a_config_of_unlikely_types_crashes_nothing(tmp_path: Path) -> None:
    config = {
        "architectures": 3,
        "id2label": [],
        "num_labels": "x",
        "max_position_embeddings": True,
        "model_type": None,
    }

    facts = look(bare(tmp_path / "m", config, "model.safetensors"))

    assert (facts.trained_as, facts.labels, facts.context, facts.model_type) == ("", 0, 0, "")
