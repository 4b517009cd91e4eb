from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import ModelBroken
from textmill.folder.loose import model_at
from textmill.folder.scan import scan
from textmill.testing.checkpoints import tiny_bert, write_json
from textmill.testing.gguf import write_gguf
from textmill.testing.heads import tiny_reranker


def test_weights_without_a_model_file(models: Path) -> None:
    write_gguf(models / "a.gguf", {"general.architecture": "bert"})
    write_gguf(models / "b.bin", {"general.architecture": "llama"})
    write_gguf(models / "c-00001-of-00002.gguf", {"general.architecture": "llama"})
    write_gguf(models / "c-00002-of-00002.gguf", {"general.architecture": ""})
    write_gguf(models / "mmproj-d.gguf", {"general.architecture": "clip"})
    tiny_bert(models / "e")
    tiny_reranker(models / "owner/f")
    (models / "g/onnx").mkdir(parents=True)
    (models / "g/onnx/model.onnx").touch()
    write_json(models / "g/config.json", {"model_type": "bert", "architectures": ["BertModel"]})

    folder = scan(models)

    assert folder.problems == ()
    assert {model.name: (model.engine, model.capabilities[0], model.listed) for model in folder.files} == {
        "a.gguf": ("gguf", "embeddings", True),
        "b.bin": ("gguf", "chat", True),
        "c-00001-of-00002.gguf": ("gguf", "chat", True),
        "e": ("ours", "embeddings", True),
        "owner/f": ("ours", "rerank", True),
        "g": ("ours", "embeddings", True),
    }
    assert {model.name: dict(model.options) for model in folder.files if model.options} == {}


def test_what_is_no_model_is_left_out(models: Path) -> None:
    for name in (
        *(
            ".hidden.gguf",
            "README.md",
            "readme",
            "MODEL_CARD",
            "x.tmpl",
            "x.json",
            "x.txt",
            "x.pt",
            "x.onnx",
            "x.zip",
            "x.tar.gz",
        ),
        *("x.gguf.part", "x.gguf.partial", "x.safetensors", "notes", "x.gguf~", ".keep"),
    ):
        write_gguf(models / name, {"general.architecture": "llama"}) if name != "notes" else (models / name).touch()
    (models / "empty").mkdir()
    (models / "deep/er/still").mkdir(parents=True)
    tiny_bert(models / "deep/er/still/model")

    folder = scan(models)

    assert (folder.files, folder.problems) == ((), ())


def test_damaged_weights_are_a_problem_that_names_the_file(models: Path) -> None:
    (models / "a.gguf").write_bytes(b"GGUF\x03\x00")
    (models / "b.gguf").touch()
    (tiny_bert(models / "c") / "config.json").write_text("[]")

    folder = scan(models)

    assert [problem.file.name for problem in folder.problems] == ["a.gguf", "c"]
    assert [model.name for model in folder.files] == ["b.gguf"]
    assert folder.files[0].refusal is not None


def test_links_out_of_the_folder_are_not_followed(models: Path, tmp_path: Path) -> None:
    outside = tiny_bert(tmp_path / "outside")
    write_gguf(tmp_path / "x.gguf", {"general.architecture": "bert"})
    (models / "a").symlink_to(outside)
    (models / "b.gguf").symlink_to(tmp_path / "x.gguf")
    (tiny_bert(models / "c") / "model.safetensors").unlink()
    (models / "c/model.safetensors").symlink_to(outside / "model.safetensors")
    tiny_bert(models / "d")
    (models / "e").symlink_to("d")

    folder = scan(models)

    assert [model.name for model in folder.files] == ["d", "e"]
    assert [problem.file.name for problem in folder.problems] == ["a", "b.gguf", "c"]
    assert {"out of the models folder" in problem.sentence for problem in folder.problems} == {True}


def test_a_model_file_takes_the_name_and_hides_the_weights_that_it_uses(models: Path) -> None:
    tiny_bert(models / "bert")
    tiny_bert(models / "other")
    (models / "a.yaml").write_text(
        "- {name: bert, embeddings: true, parameters: {model: bert}}\n- {name: x, parameters: {model: other}}\n"
    )

    folder = scan(models)

    assert [(model.name, model.listed, bool(model.line)) for model in folder.files] == [
        *(("bert", True, True), ("other", False, False), ("x", True, True)),
    ]


def test_weights_at_a_path_may_be_links_to_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    write_gguf(tmp_path / "blobs/0123", {"general.architecture": "llama"})
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/mill.gguf").symlink_to(tmp_path / "blobs/0123")

    file = model_at(tmp_path / "snapshot/mill.gguf")

    assert (file.name, file.engine, file.model) == ("mill.gguf", "gguf", str(tmp_path / "snapshot/mill.gguf"))
    assert "chat" in file.capabilities


def test_a_path_to_no_weights_is_told(tmp_path: Path) -> None:
    write_gguf(tmp_path / "mmproj.gguf", {"general.architecture": "clip"})
    (tmp_path / "cut.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelBroken, match="looks at images"):
        model_at(tmp_path / "mmproj.gguf")
    with pytest.raises(ModelBroken, match=r"cut\.gguf cannot be run: .*no whole GGUF"):
        model_at(tmp_path / "cut.gguf")
