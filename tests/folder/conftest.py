from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
def locked() -> Iterator[Path]:
    """A models folder for a process that may not read everything: root may, so the test is nobody meanwhile."""
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are root's alone
        folder = Path(place) / "models"
        folder.mkdir()
        Path(place).chmod(0o755)
        yield folder
        folder.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights, where it has them."""
    root = os.geteuid() == 0
    codecs.lookup("utf-8-sig")  # a codec that nobody may not read would be unknown from then on
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


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
