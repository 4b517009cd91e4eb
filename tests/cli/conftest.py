from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from textmill.cli import main
from textmill.testing.checkpoints import tiny_bert

Command = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


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


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `textmill serve`, or another command, with these arguments; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, command: str = "serve", **variables: str) -> subprocess.Popen[str]:
        command_line = [sys.executable, "-m", "textmill", command, *arguments]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}  # noqa: TID251 - to pass it on
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command_line, stdout=pipe, stderr=pipe, text=True, env=environ))  # noqa: S603 - ours
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()
