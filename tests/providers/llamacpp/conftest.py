from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.llamacpp.model import LlamaModel
from textmill.providers.llamacpp.opening import open_llama
from textmill.providers.llamacpp.options import Given

Entry = Callable[[str], ModelFile]
Open = Callable[..., LlamaModel]

GIVEN = Given(threads=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def entry(models: Path) -> Entry:
    """The model file of a YAML text, the only one of the folder."""

    def read(text: str) -> ModelFile:
        (models / "entry.yaml").write_text(text)
        folder = scan(models)
        assert not folder.problems, folder.problems
        [file] = [each for each in folder.files if each.line]
        return file

    return read


@pytest.fixture
def opened(models: Path, entry: Entry) -> Iterator[Open]:
    """Opens a loose file of the folder, or what a YAML text says of one."""
    made: list[LlamaModel] = []

    def open_one(text: str, given: Given = GIVEN) -> LlamaModel:
        file = scan(models).find(text) if text.endswith(".gguf") else entry(text)
        assert file is not None
        made.append(open_llama(file, models, given, dict(os.environ)))  # noqa: TID251 - as the server would
        return made[-1]

    yield open_one
    for model in made:
        model.close(0.0)
