from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textmill.folder.model import Folder, ModelFile
from textmill.folder.scan import scan

Scan = Callable[..., Folder]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def one(models: Path) -> Callable[[str], ModelFile]:
    """The only model of a YAML text, which must have no error."""

    def read(text: str) -> ModelFile:
        (models / "model.yaml").write_text(text)
        folder = scan(models)
        assert [str(problem) for problem in folder.problems if problem.level == "error"] == []
        [model] = [model for model in folder.files if model.line]
        return model

    return read


@pytest.fixture
def told(models: Path) -> Callable[..., list[tuple[str, int, str, str]]]:
    """The problems of a YAML text as level, line, key and sentence."""

    def read(text: str | bytes, name: str = "model.yaml") -> list[tuple[str, int, str, str]]:
        (models / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return [(each.level, each.line, each.key, each.sentence) for each in scan(models).problems]

    return read
