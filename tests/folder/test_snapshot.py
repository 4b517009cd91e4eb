from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from tests.folder.conftest import as_nobody

from textmill.folder.scan import scan
from textmill.folder.snapshot import MAX_FILES, Stamped, is_unfinished, stamps, take_paths, take_snapshot


def test_a_snapshot_has_the_files_of_models_and_their_modules(models: Path) -> None:
    for name in (
        "a.yaml",
        "m/config.json",
        "m/1_Pooling/config.json",
        "m/a/b/c",
        ".git/x",
        "m/x.part",
        "b.gguf.partial",
    ):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).write_text("x")
    os.mkfifo(models / "pipe")

    assert list(take_snapshot(models)) == ["a.yaml", "m/1_Pooling/config.json", "m/config.json"]
    assert take_snapshot(models / "none") == {}
    assert [stamp.path for stamp in stamps(models / "m", models)] == ["m/1_Pooling/config.json", "m/config.json"]
    assert [stamp.path for stamp in stamps(models / "a.yaml", models)] == ["a.yaml"]
    assert stamps(models / "none", models) == ()


def test_every_way_to_replace_a_file_shows(models: Path) -> None:
    file = models / "a.yaml"
    file.write_text("one")
    seen = [take_snapshot(models)]
    file.write_text("two!")
    seen.append(take_snapshot(models))
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    other = models / "b"
    other.write_text("six!")
    os.utime(other, ns=times)
    other.replace(file)
    seen.append(take_snapshot(models))
    os.utime(file, ns=(0, 0))
    seen.append(take_snapshot(models))

    assert [one != other for one, other in itertools.pairwise(seen)] == [True, True, True]


def test_files_elsewhere_can_be_watched_too(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("{name: m, parameters: {model: o/n}}")
    before = scan(models, config_files=[file])
    file.write_text("{name: m, para")

    assert list(take_snapshot(models, [file, tmp_path / "none"])) == ["../all.yaml"]
    assert scan(models, config_files=[file], before=before, moving={"../all.yaml"}) == before


def test_a_loop_of_links_ends(models: Path) -> None:
    (models / "loop").symlink_to(models)

    assert take_snapshot(models) == {}


def test_unfinished_names() -> None:
    assert all(map(is_unfinished, (".x", "x.part", "x.partial", "x.tmp", "x.incomplete", "x~", "x.swp")))
    assert not any(map(is_unfinished, ("x", "x.yaml", "part", "x.part.gguf")))


def test_links_to_folders_elsewhere_are_not_followed(models: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").touch()
    (models / "m").mkdir()
    (models / "m" / "y").touch()
    (models / "out").symlink_to(tmp_path / "elsewhere")
    (models / "in").symlink_to(models / "m")

    assert list(take_snapshot(models)) == ["in/y", "m/y"]


def test_stamps_that_are_known_are_not_made_again_and_have_a_bound(models: Path) -> None:
    (models / "m").mkdir()
    (models / "m" / "x").touch()
    known: Stamped = {}
    first = stamps(models / "m", models, known)
    (models / "m" / "y").touch()

    assert stamps(models / "m", models, known) is first
    assert len(stamps(models / "m", models, {})) == 2
    for number in range(MAX_FILES):
        os.mknod(models / "m" / str(number))
    assert len(stamps(models / "m", models)) == MAX_FILES


def test_a_folder_that_is_not_there_has_nothing_and_one_that_may_not_be_looked_at_says_so(locked: Path) -> None:
    (locked / "x").touch()
    assert take_paths(locked / "none") == []
    locked.chmod(0o444)
    with as_nobody(), pytest.raises(PermissionError):
        take_paths(locked)
