from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import InvalidInput
from textmill.gallery.paths import inside, safe_file, safe_model

HOSTILE = [
    *("", " ", ".", "..", "../x", "a/../x", "a/..", "/etc/passwd", "//x", "a//b", "a/", "./a"),
    *("C:\\x", "C:x", "c:/x", "..\\x", "a\\b", "\\\\host\\share", "a\x00b", "a\nb", "a\x7f"),
    *(
        ".hidden",
        "a/.hidden",
        ".textmill/jobs/x.json",
        "._gallery_x.yaml",
        "x.part",
        "x.part.json",
        "x" * 201,
        "é" * 101,
    ),
]


@pytest.mark.parametrize("name", [*HOSTILE, "other.yaml", "other.YML"])
def test_a_file_name_that_could_mean_another_place_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="give a plain relative name"):
        safe_file(name)


@pytest.mark.parametrize(
    "name", ["model.gguf", "a/b/c.safetensors", "folder/config.yaml", "ünïcode model (1).bin", "gemma:2b.gguf"]
)
def test_a_plain_name_is_taken(name: str) -> None:
    assert str(safe_file(name)) == name


@pytest.mark.parametrize("name", ["", "..", "../x/..", ".x", "a\\b", "C:x", "a\x00", "x" * 201])
def test_a_model_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="give another name"):
        safe_model(name)


def test_slashes_in_a_model_name_become_underscores() -> None:
    assert safe_model("owner/repo/file.gguf") == "owner__repo__file.gguf"


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "models", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("x")
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "secret")
    (folder / "dangling").symlink_to(outside / "new")
    (outside / "back").symlink_to(folder / "real")
    (folder / "within").symlink_to(folder / "real")

    for name in ("link/x", "link/deep/x", "file", "dangling", "link/back"):
        with pytest.raises(InvalidInput, match="symbolic link"):
            inside(folder, name)
    assert inside(folder, "within/x") == folder / "within/x"


def test_a_folder_that_is_itself_a_link_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "real")

    assert inside(tmp_path / "models", "a/b.gguf") == tmp_path / "models/a/b.gguf"
