"""Models by the names that clients use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid, ModelNotFound
from textmill.store.load import load
from textmill.store.store import Store
from textmill.testing.checkpoints import tiny_bert


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store([load(str(tiny_bert(tmp_path / name)), threads=1) for name in ("first", "second")])
    yield made
    made.close(1.0)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with ExitStack() as opened:
        models = [
            opened.enter_context(load(str(tiny_bert(tmp_path / place / "tiny")), threads=1)) for place in ("a", "b")
        ]
        with pytest.raises(ConfigInvalid, match="two models would be called 'tiny'"):
            Store(models)


def test_the_packaged_model_answers_to_its_hub_id() -> None:
    with load("all-MiniLM-L6-v2") as model:
        assert Store([model]).get("sentence-transformers/all-MiniLM-L6-v2") is model


def test_a_model_is_found_by_name_and_by_source(store: Store) -> None:
    second = store.models()[1]
    assert store.get("second") is store.get(second.info.source) is second


@pytest.mark.parametrize("name", [None, ""])
def test_no_name_means_the_first(store: Store, name: str | None) -> None:
    assert store.get(name).info.name == "first"


def test_an_unknown_name_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r"there is first, second; did you mean 'second'"):
        store.get("secnd")


def test_a_store_is_ready_until_it_is_closed(store: Store) -> None:
    assert store.ready
    store.close(1.0)
    assert not store.ready
    assert not any(model.ready for model in store.models())
