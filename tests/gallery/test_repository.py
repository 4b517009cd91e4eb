from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from tests.gallery.conftest import QUICK

from textmill.errors import ModelNotFound
from textmill.gallery.access import Access
from textmill.gallery.progress import Progress, silent
from textmill.gallery.repository import HubCache, files_in
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Repository
from textmill.gallery.web import Web
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.hub import FakeHub, fake_hub

TINY = Repository("owner/tiny")


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests says; the hub here is on loopback."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub() as running:
        running.folder = tiny_bert(tmp_path / "served")
        yield running


def cache(hub: FakeHub, tmp_path: Path, *, offline: bool = False) -> HubCache:
    return HubCache(Access(endpoint=hub.endpoint, offline=offline), tmp_path / "cache")


def test_a_repository_is_put_into_the_cache_and_its_bytes_are_told(hub: FakeHub, tmp_path: Path) -> None:
    told: list[Progress] = []
    kept = cache(hub, tmp_path)
    assert not kept.has(TINY)

    kept.fetch(TINY, told.append, Stop())

    assert kept.has(TINY)
    assert {each.file for each in told} == {"owner/tiny"}
    assert max(each.done for each in told) > 0
    assert {each.total for each in told} == {None}


def test_a_stopped_transfer_ends_and_can_be_made_again(hub: FakeHub, tmp_path: Path) -> None:
    stop = Stop()
    kept = cache(hub, tmp_path)

    with pytest.raises(CancelledError):
        kept.fetch(TINY, lambda _: stop.set(), stop)
    assert not kept.has(TINY)
    kept.fetch(TINY, silent, Stop())

    assert kept.has(TINY)


def test_nothing_is_fetched_offline(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="offline"):
        cache(hub, tmp_path, offline=True).fetch(TINY, silent, Stop())
    assert hub.asked == []


def test_the_hub_says_what_is_in_a_repository(hub: FakeHub) -> None:
    web = Web(Access(endpoint=hub.endpoint, patience=QUICK))

    assert "model.safetensors" in (files_in(TINY, web, Stop()) or ())
    assert files_in(Repository("owner/other"), web, Stop()) is None
    web.close()
