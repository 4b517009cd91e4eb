from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from textmill.contract import ChatOptions, CompleteOptions, Message
from textmill.errors import WrongTask
from textmill.store.load import load
from textmill.store.model import Model
from textmill.testing.checkpoints import tiny_bert


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    with load(str(tiny_bert(tmp_path / "tiny")), threads=1) as model:
        yield model


def test_a_model_that_embeds_says_what_it_can_do_instead_of_writing(model: Model) -> None:
    with pytest.raises(WrongTask, match=r"cannot chat; it can embed"):
        model.chat([Message(role="user", content="Hello")], ChatOptions())
    with pytest.raises(WrongTask, match=r"cannot complete; it can embed"):
        model.complete("Once", CompleteOptions())
