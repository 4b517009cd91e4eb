"""vLLM as a process: started, asked, lost, started again, ended; its part is played by a small program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import textmill
from textmill.contract import ChatOptions, CompleteOptions, Message, Piece
from textmill.errors import ConfigInvalid, ExtraMissing, ForwardFailed, LoadFailed, ModelBroken, Unavailable
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.remote_model import RemoteModel
from textmill.providers.vllm import open_vllm
from textmill.providers.vllm_server import Launch, VllmServer
from textmill.testing.vllm import install

pytestmark = pytest.mark.timeout(60)
SOURCE = Path(textmill.__file__).parents[1]


def environ_of(folder: Path) -> dict[str, str]:
    return {"PATH": install(folder / "bin"), "PYTHONPATH": str(SOURCE)}


def file_of(folder: Path, model: str = "owner/name", text: str = "") -> ModelFile:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    (models / "m.yaml").write_text(f"name: m\nbackend: vllm\nparameters: {{model: {model}}}\n{text}\n")
    return scan(models).files[0]


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[RemoteModel]:
    made = await asyncio.to_thread(
        open_vllm, file_of(tmp_path), tmp_path / "models", environ_of(tmp_path), offline=True
    )
    yield made
    await asyncio.to_thread(made.close, 0.0)
    await asyncio.sleep(0)


async def said(model: RemoteModel, text: str) -> str:
    events = model.chat([Message(role="user", content=text)], ChatOptions())
    return "".join([each.text async for each in events if isinstance(each, Piece)])


async def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_it_is_started_and_asked(model: RemoteModel) -> None:
    assert (model.info.tasks, model.info.runtime, model.info.max_tokens) == (("chat", "complete"), "vllm", 512)
    assert model.ready
    assert await said(model, "The mill") == "The mill"
    events = model.complete("turns", CompleteOptions())
    assert [each.text async for each in events if isinstance(each, Piece)] == ["turns"]
    arguments = json.loads(await said(model, "!args"))
    assert arguments[:3] == ["serve", "owner/name", "--served-model-name=m"]
    assert "--host=127.0.0.1" in arguments
    assert await said(model, "!environ HF_HUB_OFFLINE") == "1"
    key = await said(model, "!environ VLLM_API_KEY")
    assert len(key) > 30
    assert key not in " ".join(arguments)


async def test_it_is_started_again_when_it_ends(model: RemoteModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = await said(model, "!environ VLLM_API_KEY")
    with pytest.raises((ForwardFailed, Unavailable)):
        await said(model, "!die")
    await until(lambda: not model.ready)
    assert await said(model, "again") == "again"
    assert await said(model, "!environ VLLM_API_KEY") != first
    assert "ended with exit code 3" in caplog.text
    assert "CUDA error, says vLLM" in caplog.text


async def test_a_client_that_leaves_stops_it(model: RemoteModel) -> None:
    task = asyncio.create_task(said(model, "!slow"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await said(model, "next") == "next"


async def test_what_it_writes_is_logged_while_it_loads_and_hidden_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await asyncio.to_thread(open_vllm, file_of(tmp_path), tmp_path / "models", environ_of(tmp_path))
    try:
        lines = [each for each in caplog.records if each.getMessage() == "vllm m: loading owner/name"]
        assert [each.levelno for each in lines] == [logging.INFO]
    finally:
        await asyncio.to_thread(made.close, 0.0)


async def test_a_model_that_does_not_load_says_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"(?s)ended with exit code 1 while it loaded.*no such weights"):
        await asyncio.to_thread(open_vllm, file_of(tmp_path, "owner/broken"), tmp_path / "models", environ_of(tmp_path))


async def test_a_model_that_takes_too_long_is_ended() -> None:
    server = VllmServer(
        Launch(name="m", command=[sys.executable, "-c", "import time; time.sleep(99)"], environ={}, start_s=0.3)
    )
    with pytest.raises(Unavailable, match="was not up within 0 s"):
        await asyncio.to_thread(server.open)
    await asyncio.to_thread(server.close)


async def test_closing_ends_a_start_under_way(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    code = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(99)"
    server = VllmServer(Launch(name="m", command=[sys.executable, "-c", code], environ={}))
    opening = asyncio.create_task(asyncio.to_thread(server.open))
    await until(mark.exists)
    await asyncio.to_thread(server.close)
    with pytest.raises((Unavailable, ModelBroken)):
        await opening
    with pytest.raises(Unavailable, match="being closed"):
        await server.wire()


async def test_one_that_ends_again_and_again_is_started_less_often(tmp_path: Path) -> None:
    """It comes up once, and then never again."""
    mark = tmp_path / "mark"
    program = tmp_path / "once.py"
    program.write_text(
        "import os, pathlib, sys\n"
        "from textmill.testing.vllm import main\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "if mark.exists(): sys.exit('no more')\n"
        "mark.touch()\n"
        "main(sys.argv[1:], dict(os.environ))\n"
    )
    command = [sys.executable, str(program), "serve", "m", "--served-model-name=m"]
    waits: list[int] = []

    def back_off(ends: int) -> float:
        waits.append(ends)
        return 0.0 if ends < 3 else 100.0

    server = VllmServer(Launch(name="m", command=command, environ={"PYTHONPATH": str(SOURCE)}), back_off=back_off)
    await asyncio.to_thread(server.open)
    process = server._process
    assert process is not None
    os.kill(process._minder.pid, signal.SIGTERM)
    await until(lambda: len(waits) == 3)
    await until(lambda: server._due > time.monotonic() + 50)
    assert not server.ready
    with pytest.raises(LoadFailed, match="again and again") as refused:
        await server.wire()
    assert 50 < (refused.value.retry_after or 0) <= 100
    await asyncio.to_thread(server.close)
    assert waits == [1, 2, 3]


def test_without_vllm_the_error_has_the_command(tmp_path: Path) -> None:
    with pytest.raises(ExtraMissing, match="pip install vllm"):
        open_vllm(file_of(tmp_path), tmp_path / "models", {"PATH": str(tmp_path)})


def test_a_flag_that_a_file_may_not_have_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="backend: remote"):
        open_vllm(file_of(tmp_path, text="options: ['--trust-remote-code']"), tmp_path / "models", environ_of(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    file_of(tmp_path)
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from textmill.folder.scan import scan\n"
        "from textmill.providers.vllm import open_vllm\n"
        f"file = scan(Path({str(tmp_path / 'models')!r})).files[0]\n"
        f"model = open_vllm(file, Path({str(tmp_path / 'models')!r}), {environ_of(tmp_path)!r})\n"
        "print('up', flush=True)\n"
        "time.sleep(99)\n"
    )
    environ = {**environ_of(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ)  # noqa: S603 - ours
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == b"up\n"
        children = running(str(tmp_path))
        assert children
        parent.kill()
        parent.wait()
    end = time.monotonic() + 20
    while running(str(tmp_path)):
        assert time.monotonic() < end
        time.sleep(0.02)


def running(word: str) -> list[int]:
    """The processes whose environment or arguments have that word, but this one."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                told = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
            except OSError:
                continue
            if word.encode() in told:
                found.append(int(each.name))
    return found
