from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from textmill.folder.location import Location, Refused, inside, locate, name_of, nothing_there, on_hub


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("BAAI/bge-small-en-v1.5", Location(repo="BAAI/bge-small-en-v1.5")),
        ("owner/name@v1", Location(repo="owner/name", revision="v1")),
        (
            "owner/name/onnx/model.onnx@refs/pr/1",
            Location(repo="owner/name", file="onnx/model.onnx", revision="refs/pr/1"),
        ),
        ("hf://owner/name", Location(repo="owner/name")),
        ("https://huggingface.co/owner/name", Location(repo="owner/name")),
        ("https://huggingface.co/owner/name/blob/v1/a.onnx", Location(repo="owner/name", file="a.onnx", revision="v1")),
    ],
)
def test_places_elsewhere(model: str, wanted: Location, models: Path) -> None:
    assert locate(model, models) == wanted


@pytest.mark.parametrize(
    ("model", "name", "uri"),
    [
        ("TheBloke/X/x.ggmlv3.q2_K.bin", "x.ggmlv3.q2_K.bin", "huggingface://TheBloke/X/x.ggmlv3.q2_K.bin"),
        ("huggingface://owner/name/sub/x.gguf@v1", "x.gguf", "huggingface://owner/name/sub/x.gguf@v1"),
        ("https://huggingface.co/o/n/resolve/v1/x.gguf?download=true", "x.gguf", "huggingface://o/n/x.gguf@v1"),
        ("https://host/a%20b/x.gguf?key=1", "x.gguf", None),
        ("https://huggingface.co/spaces/o/n/x.gguf", "x.gguf", None),
        ("ollama://gemma:2b", "gemma-2b.gguf", None),
        ("oci://quay.io/some/x:v1", "x-v1", None),
        ("github:org/repo/x.bin@main", "x.bin", None),
    ],
)
def test_one_file_comes_into_the_folder_by_its_name(model: str, name: str, uri: str | None, models: Path) -> None:
    found = locate(model, models)

    assert (found.path, found.uri) == (models / name, uri or model)
    assert found.comes
    (models / name).touch()
    assert not locate(model, models).comes


@pytest.mark.parametrize("uri", ["https://host/x/..", "https://host/.x", "https://host/a.yaml", "https://h/%00"])
def test_a_uri_without_a_name_gets_one(uri: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", name_of(uri))


def test_a_name_in_the_folder_that_leads_out_of_it_is_no_place_for_a_download(models: Path, tmp_path: Path) -> None:
    (models / "x.gguf").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Refused, match="symbolic link"):
        locate("https://host/x.gguf", models)


@pytest.mark.parametrize(
    "name", ["owner", "owner/", "/name", "o/n/../x", "o/n//x", "o/n@", "o/n@../x", "a b/c", "o/n@v 1", ".o/n"]
)
def test_other_names_are_none_of_the_hub(name: str) -> None:
    assert on_hub(name) is None


def test_a_folder_that_is_there_comes_before_a_repository_of_that_name(models: Path) -> None:
    (models / "owner/name").mkdir(parents=True)

    assert locate("owner/name", models).path == models / "owner/name"


@pytest.mark.parametrize("form", ["{}", "./{}", "file://{}", "file://{root}/{}", "{root}/{}"])
def test_spellings_of_a_file_in_the_folder(form: str, models: Path) -> None:
    (models / "bert").touch()

    found = locate(form.format("bert", root=models), models)

    assert found.path is not None
    assert found.path.resolve() == (models / "bert").resolve()
    assert not found.missing


def test_a_short_name_is_one_of_sentence_transformers_where_it_may_be(models: Path) -> None:
    assert locate("all-MiniLM-L6-v2", models, short_names=True).repo == "sentence-transformers/all-MiniLM-L6-v2"
    assert locate("all-MiniLM-L6-v2", models).missing
    assert locate("ggml-file.bin", models, short_names=True).missing
    (models / "all-MiniLM-L6-v2").mkdir()
    assert locate("all-MiniLM-L6-v2", models, short_names=True).path == models / "all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    "model",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "file:///etc/passwd",
        "file://../x",
        "..",
        "a\\..\\b",
        "x\0y",
        "",
        " ",
        "a\nb",
        ".",
        "x" * 300,
        "x/" * 2000,
        "\ud800",
    ],
)
def test_paths_out_of_the_folder_are_refused(model: str, models: Path) -> None:
    with pytest.raises(Refused):
        locate(model, models)


def test_links_out_of_the_folder_are_refused_wherever_they_stand(models: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").touch()
    (models / "link").symlink_to(outside)
    (models / "circle").symlink_to(models / "circle")
    (models / "m/in/side").mkdir(parents=True)
    (models / "m/in/side/weights").symlink_to(outside / "x")
    (models / "fine").symlink_to(models / "m")

    for name in ("link", "link/x", "m", "circle", "fine"):
        with pytest.raises(Refused, match="link"):
            inside(name, models)


def test_a_link_within_the_folder_is_fine_and_so_is_a_folder_behind_a_link(models: Path, tmp_path: Path) -> None:
    (models / "real").mkdir()
    (models / "also").symlink_to("real")
    (tmp_path / "behind").symlink_to(models)

    assert inside("also", models) == models / "also"
    assert inside("also", tmp_path / "behind") == tmp_path / "behind/also"
    assert inside(os.fspath(models / "real"), tmp_path / "behind") == models / "real"


def test_a_missing_file_is_told_with_the_nearest(models: Path) -> None:
    (models / "ggml-model.bin").touch()

    assert (
        nothing_there(models / "ggml-modle.bin")
        == "there is no ggml-modle.bin in the models folder; did you mean ggml-model.bin?"
    )
    assert nothing_there(models / "zzz") == f"there is no zzz in the models folder; put the model into {models}"
