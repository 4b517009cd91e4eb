from __future__ import annotations

import logging
from pathlib import Path

import pytest

from textmill.checkpoint.artefacts import choose, patterns
from textmill.errors import ModelBroken


def folder_of(parent: Path, *names: str) -> Path:
    for name in names:
        (parent / name).parent.mkdir(parents=True, exist_ok=True)
        (parent / name).write_bytes(name.encode())
    return parent


def chosen(folder: Path, backend: str = "auto", file: str | None = None) -> str | None:
    found = choose(folder, backend=backend, file=file)
    return None if found is None else found.path.relative_to(folder).as_posix()


def test_safetensors_come_before_graphs_unless_a_graph_is_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "model.safetensors", "onnx/model.onnx", "openvino/openvino_model.xml")
    folder_of(folder, "openvino/openvino_model.bin")
    assert chosen(folder) is None
    assert chosen(folder, "openvino") is None
    assert chosen(folder, "torch") is None
    assert chosen(folder, "onnx") == "onnx/model.onnx"
    assert chosen(folder, file="onnx/model.onnx") == "onnx/model.onnx"
    assert chosen(folder, file="openvino_model.xml") == "openvino/openvino_model.xml"


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_without_safetensors_a_graph_stands_in(backend: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "openvino/openvino_model.xml", "openvino/openvino_model.bin", "onnx/model.onnx")
    assert chosen(folder, backend) == "openvino/openvino_model.xml"
    (folder / "openvino/openvino_model.xml").unlink()
    assert chosen(folder) == "onnx/model.onnx"


def test_of_several_the_exact_one_is_taken_and_the_choice_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, "onnx/model.onnx", "onnx/model_O4.onnx", "onnx/model_qint8_avx512_vnni.onnx")
    with caplog.at_level(logging.INFO):
        assert chosen(folder, "onnx") == "onnx/model.onnx"
    assert "taking onnx/model.onnx, the one that is not quantised or optimised" in caplog.text
    assert "onnx/model_qint8_avx512_vnni.onnx" in caplog.text


def test_the_data_beside_a_graph_belong_to_its_hash(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "model.onnx", "model.onnx_data", "other.onnx")
    made = choose(folder, backend="onnx", file=None)
    assert made is not None
    assert [file.name for file in made.beside] == ["model.onnx_data"]
    before = made.sha256()
    (folder / "model.onnx_data").write_bytes(b"changed")
    assert made.sha256() != before


@pytest.mark.parametrize(
    ("backend", "file", "message"),
    [
        ("auto", "nope.onnx", "has no file nope.onnx; its graphs are: b/model.onnx, onnx/model.onnx"),
        ("auto", "model.onnx", "has no file model.onnx; its graphs are"),  # two have this name
        ("auto", "../model.onnx", "must be a path below the model's folder"),
        ("auto", "model.safetensors", "is neither an .onnx nor an .xml file"),
        ("torch", "onnx/model.onnx", "does not go with --backend torch"),
        ("onnx", "graph.xml", "does not go with --backend onnx"),
    ],
)
def test_a_file_that_cannot_be_run_is_named(backend: str, file: str, message: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "b/model.onnx", "onnx/model.onnx")
    with pytest.raises(ModelBroken) as caught:
        choose(folder, backend=backend, file=file)
    assert all(part in str(caught.value) for part in message.split("; "))


def test_no_graph_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"has no \.onnx file; leave --backend out"):
        choose(folder_of(tmp_path, "model.safetensors"), backend="onnx", file=None)


def test_an_xml_without_its_weights_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "openvino/openvino_model.xml")
    with pytest.raises(ModelBroken, match=r"lacks its weights, openvino_model\.bin"):
        choose(folder, backend="openvino", file=None)


def test_only_what_is_wanted_is_fetched() -> None:
    assert patterns("onnx", None) == ("onnx/model.onnx", "onnx/model.onnx*data*", "model.onnx", "model.onnx*data*")
    assert patterns("auto", "a.xml") == ("a.xml", "a.bin", "*/a.xml", "*/a.bin")
