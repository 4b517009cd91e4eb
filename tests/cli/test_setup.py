from __future__ import annotations

import tomllib
from pathlib import Path

from textmill.cli.setup import EXTRAS, look_at_cache, packages

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert {
        name: tuple(each.partition(">")[0].partition("=")[0] for each in of) for name, of in extras.items()
    } == EXTRAS


def test_packages_have_their_versions() -> None:
    versions = {package.name: package.version for package in packages()}
    assert versions["openvino"] > "2025"


def test_the_cache_counts_repositories_and_what_they_weigh(tmp_path: Path) -> None:
    blobs = tmp_path / "hub/models--a--b/blobs"
    blobs.mkdir(parents=True)
    (blobs / "x").write_bytes(b"12345")
    (tmp_path / "hub/datasets--a--b").mkdir()
    (tmp_path / "hub/models--a--c").mkdir()
    (blobs / "gone").symlink_to(tmp_path / "nowhere")

    cache = look_at_cache(tmp_path / "hub")

    assert (cache.repositories, cache.size, cache.writable) == (2, 5, True)
    assert look_at_cache(tmp_path / "not/yet").writable
    assert (cache.free or 0) > 0
