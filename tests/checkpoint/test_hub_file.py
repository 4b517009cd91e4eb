from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from textmill.checkpoint.download import Access
from textmill.checkpoint.hub_file import hub_file
from textmill.errors import ModelNotFound
from textmill.testing.hub import FakeHub, fake_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder = tmp_path / "served"
    folder.mkdir()
    for name in ("a.Q4.gguf", "a.Q8.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf"):
        (folder / name).write_text(name)
    with fake_hub() as server:
        server.folder = folder
        yield server


def test_one_file_is_fetched_and_then_found_in_the_cache(hub: FakeHub, tmp_path: Path) -> None:
    access = Access(cache_dir=tmp_path / "cache", endpoint=hub.endpoint)

    path = hub_file(hub.repo, "a.Q8.gguf", None, access)
    asked = len(hub.asked)

    assert path.read_text() == "a.Q8.gguf"
    assert [each.name for each in path.parent.iterdir()] == ["a.Q8.gguf"]
    assert hub_file(hub.repo, "a.Q8.gguf", None, Access(offline=True, cache_dir=tmp_path / "cache")) == path
    assert len(hub.asked) == asked


def test_a_file_in_parts_comes_whole(hub: FakeHub, tmp_path: Path) -> None:
    path = hub_file(hub.repo, "b-00001-of-00002.gguf", None, Access(cache_dir=tmp_path, endpoint=hub.endpoint))

    assert sorted(each.name for each in path.parent.iterdir()) == ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]


def test_a_file_that_is_not_there_is_named(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"owner/tiny has no file c\.gguf"):
        hub_file(hub.repo, "c.gguf", None, Access(cache_dir=tmp_path, endpoint=hub.endpoint))
    with pytest.raises(ModelNotFound, match=r"textmill is offline.*hf download owner/tiny c\.gguf"):
        hub_file(hub.repo, "c.gguf", None, Access(offline=True, cache_dir=tmp_path))
