"""What writes text in the benchmarks: a model of a size that this machine can write with, llama.cpp's own server, and textmill's."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import msgspec

from bench.contenders.textmill_http import HOST, free_port
from bench.http_client import Connection, Refused
from bench.processes import ROOT
from textmill.config import available_threads
from textmill.folder.scan import scan
from textmill.providers.llamacpp import child
from textmill.providers.llamacpp.options import Given, wanted
from textmill.testing.gguf_llama import llama_gguf
from textmill.testing.gguf_templates import TOOLS

NAME: Final = "mill"
SLOTS: Final = 8
CONTEXT: Final = 16384
"""Tokens of all slots together."""
LAYERS, WIDTH, WORDS = 12, 640, 32_000
"""85 million weights, 170 MB as float16: a small model with the vocabulary of a usual one."""
START_SECONDS: Final = 120.0
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Server:
    """A server that is up: where, its process, and the process of llama.cpp, which may be the same."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    llama: int

    @property
    def address(self) -> str:
        """For the Host header."""
        return f"{HOST}:{self.port}"


def write_models(
    folder: Path,
    *,
    layers: int = LAYERS,
    width: int = WIDTH,
    words: int = WORDS,
    context: int = CONTEXT,
    more: Sequence[str] = (),
) -> Path:
    """Write the model and its model file into a models folder; returns ``folder``. ``more`` are further options."""
    folder.mkdir(parents=True, exist_ok=True)
    spelt = [
        f" {''.join(letters)}".encode() for letters, _ in zip(product(_LETTERS, repeat=4), range(words), strict=False)
    ]
    llama_gguf(folder / f"{NAME}.gguf", layers=layers, width=width, context=context, words=spelt, template=TOOLS)
    entry = {
        "name": NAME,
        "parameters": {"model": f"{NAME}.gguf"},
        "context_size": context,
        "options": [f"parallel:{SLOTS}", *more],
    }
    (folder / f"{NAME}.yaml").write_text(json.dumps(entry))
    return folder


@contextmanager
def own_server(folder: Path, log: Path) -> Iterator[Server]:
    """llama.cpp's own server, told what textmill tells it, on a port."""
    file = scan(folder).find(NAME)
    assert file is not None  # noqa: S101 - written just before
    launch, port = wanted(file, folder, Given(threads=available_threads())).launch, free_port()
    launch = msgspec.structs.replace(
        launch, settings=msgspec.structs.replace(launch.settings, sockets=(HOST,), port=port)
    )
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", str(child.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # as textmill starts it: Linux may share cores between sessions
        )
    try:
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        process.stdin.write(msgspec.json.encode(launch) + b"\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline() or b"{}")
        if "ready" not in said:
            message = (
                f"llama.cpp's own server does not start: {said.get('failed', log.read_text(errors='replace')[-500:])}"
            )
            raise RuntimeError(message)
        yield Server("llama.cpp's own", port, process, process.pid)
    finally:
        _end(process)


@contextmanager
def textmill_server(folder: Path, log: Path, flags: Sequence[str] = (), models: Sequence[str] = ()) -> Iterator[Server]:
    """Textmill with that models folder and its model loaded, as a user would start it; ``models`` are others."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "textmill",
        "serve",
        *models,
        "--host",
        HOST,
        "--port",
        str(port),
        "--galleries",
        "none",
    ]
    command += ["--models-path", str(folder), "--load", NAME, *flags]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors, cwd=ROOT)
    try:
        _wait(process, port, log)
        yield Server("textmill", port, process, _child_of(process.pid))
    finally:
        _end(process)


def prompts(number: int, seed: int, length: int = 60) -> list[str]:
    """Different prompts of so many characters, which are about as many tokens."""
    chance = random.Random(seed)  # noqa: S311 - repeatable texts, no secret
    return ["".join(chance.choices(_LETTERS + " ", k=length)) for _ in range(number)]


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    async def ask() -> None:
        async with Connection(HOST, port) as connection:
            await connection.ask(f"GET /health/ready HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            asyncio.run(ask())
        except (OSError, Refused, EOFError):
            time.sleep(0.1)
        else:
            return
    message = f"textmill does not come up: {log.read_text(errors='replace')[-1000:]}"
    raise RuntimeError(message)


def _child_of(process: int) -> int:
    """The process of llama.cpp that a server has."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        if int(fields[1]) == process and re.search(r"llamacpp.child\.py", (stat.parent / "cmdline").read_text()):
            return int(stat.parent.name)
    return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
