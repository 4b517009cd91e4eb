from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from textmill.cli import main
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.gguf_llama import chain_gguf, endless_gguf
from textmill.testing.gguf_templates import REASONING

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


@pytest.fixture(scope="session")
def writers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder: mill.gguf says a sentence, endless.gguf goes on and on, thinker.gguf thinks first."""
    folder = tmp_path_factory.mktemp("writers")
    chain_gguf(folder / "mill.gguf", "The mill turns.")
    endless_gguf(folder / "endless.gguf")
    chain_gguf(folder / "thinker.gguf", "<think>The wheel is wet.</think>It turns.", template=REASONING)
    return folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `textmill serve`, or another command, with these arguments; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(
        *arguments: str, command: str = "serve", stdin: str | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        command_line = [sys.executable, "-m", "textmill", command, *arguments]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}  # noqa: TID251 - to pass it on
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603 - ours
            command_line, stdin=None if stdin is None else pipe, stdout=pipe, stderr=pipe, text=True, env=environ
        )
        started.append(process)
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.flush()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
