from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from textmill.cli import main
from textmill.testing.checkpoints import tiny_bert

Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs `textmill` with these arguments in this process."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    for name in ("TOKENIZERS_PARALLELISM", "RAYON_NUM_THREADS"):  # the commands set them where they are not
        monkeypatch.setenv(name, "1" if name.startswith("RAYON") else "false")

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(main, arguments, input=stdin)

    yield run
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model."""
    return str(tiny_bert(tmp_path_factory.mktemp("models") / "tiny"))
