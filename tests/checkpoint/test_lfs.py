"""A clone without its large files: every file that models are kept in may be a pointer."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.checkpoint.artefacts import choose
from textmill.checkpoint.recipe import read_recipe
from textmill.errors import ModelBroken
from textmill.store.load import load
from textmill.testing.checkpoints import tiny_bert

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:53aa51172d142c89d9012cce15ae4d6c\nsize 90868376\n"


@pytest.mark.parametrize(
    ("name", "shards"),
    [("model.safetensors", 1), ("model-00001-of-00002.safetensors", 2), ("tokenizer.json", 1), ("config.json", 1)],
)
def test_a_pointer_in_place_of_a_file_is_told_from_a_damaged_one(name: str, shards: int, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, shards=shards)
    (folder / name).write_text(POINTER, encoding="utf-8")
    with pytest.raises(ModelBroken) as told:
        load(str(folder), threads=1)
    assert str(told.value).startswith(f"{folder / name} is a pointer of Git LFS and not the file itself")
    assert str(told.value).endswith(f"run git lfs pull in {folder}")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx_data", "openvino_model.bin"])
def test_a_pointer_in_place_of_a_graph_or_its_weights_is_too(name: str, tmp_path: Path) -> None:
    for other in ("model.onnx", "openvino_model.xml", "openvino_model.bin"):
        (tmp_path / other).write_text("graph", encoding="utf-8")
    (tmp_path / name).write_text(POINTER, encoding="utf-8")
    with pytest.raises(ModelBroken, match=f"{name} is a pointer of Git LFS"):
        choose(tmp_path, backend="openvino" if name.startswith("openvino") else "onnx", file=None)


def test_a_whole_folder_has_no_pointers(tmp_path: Path) -> None:
    assert read_recipe(tiny_bert(tmp_path)).vocabulary > 0
