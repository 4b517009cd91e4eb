from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from textmill.errors import ModelBroken, Unavailable
from textmill.providers.llamacpp import child
from textmill.providers.llamacpp.process import LlamaProcess
from textmill.providers.llamacpp.settings import Launch, Settings
from textmill.testing.gguf import write_gguf
from textmill.testing.gguf_llama import chain_gguf

Start = Callable[..., LlamaProcess]
ENVIRON = dict(os.environ)  # noqa: TID251 - as the server would


def launch(model: Path, **settings: object) -> Launch:
    usual = {"context": 512, "parallel": 1, "threads": 1, "threads_batch": 1, "ui": False, "verbosity": 1}
    return Launch(settings=Settings(model=str(model), sockets=(), **(usual | settings)))  # type: ignore[arg-type]


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts a process for a file."""
    made: list[LlamaProcess] = []

    def start(model: Path, **settings: object) -> LlamaProcess:
        made.append(LlamaProcess("m", launch(model, **settings), ENVIRON))
        return made[-1]

    yield start
    for process in made:
        process.stop()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return chain_gguf(tmp_path / "good.gguf", "Hello there!")


def sockets_of(pid: int) -> set[str]:
    """Inodes of the sockets that a process holds."""
    links = (str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    return {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}


def tcp_listeners() -> set[str]:
    """Inodes of all sockets of the machine that listen on TCP."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"}


def test_it_answers_on_a_socket_that_others_cannot_reach_and_nowhere_else(good: Path, started: Start) -> None:
    process = started(good)
    process.load()

    with httpx.Client(transport=httpx.HTTPTransport(uds=str(process.socket))) as client:
        assert client.get("http://x/health").json() == {"status": "ok"}
        assert client.get("http://x/").status_code == 404
        assert client.get("http://x/metrics").status_code == 501
        assert client.post("http://x/slots/0?action=save", json={"filename": "x"}).status_code == 501
    assert process.socket.parent.stat().st_mode & 0o777 == 0o700
    assert not sockets_of(process.pid) & tcp_listeners()
    assert process.devices[-1:] == ("CPU",)


def test_stopping_leaves_nothing_behind(good: Path, started: Start) -> None:
    process = started(good)
    process.load()
    folder = process.socket.parent

    process.stop()
    process.stop()

    assert (process.alive, folder.exists()) == (False, False)
    assert process.end == "was ended by SIGKILL"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"garbage" * 100, "invalid magic characters"),
        (b"", "failed to read magic"),
    ],
)
def test_a_file_that_is_none_is_named_with_llamacpps_reason(
    content: bytes, reason: str, tmp_path: Path, started: Start
) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)

    with pytest.raises(ModelBroken, match=rf"llama\.cpp does not load m: .*{reason}"):
        started(file).load()


def test_a_file_that_is_cut_off_is_said_to_be(good: Path, started: Start) -> None:
    good.write_bytes(good.read_bytes()[:-500])

    with pytest.raises(ModelBroken, match="not within the file bounds, model is corrupted or incomplete"):
        started(good).load()


def test_an_unknown_architecture_is_named(tmp_path: Path, started: Start) -> None:
    file = write_gguf(tmp_path / "a.gguf", {"general.architecture": "mystery"})

    with pytest.raises(ModelBroken, match="unknown model architecture: 'mystery'"):
        started(file).load()


def test_a_missing_file_is_said_to_be(tmp_path: Path, started: Start) -> None:
    with pytest.raises(ModelBroken, match="No such file"):
        started(tmp_path / "none.gguf").load()


def test_a_process_that_is_killed_while_it_loads_is_said_to_lack_memory(good: Path, started: Start) -> None:
    process = started(good)
    os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(ModelBroken, match="SIGKILL, as the system does where memory runs out"):
        process.load()


def test_workers_without_the_backend_for_them_are_refused(good: Path) -> None:
    process = LlamaProcess("m", Launch(settings=launch(good).settings, rpc="host:50052"), ENVIRON)

    with pytest.raises(ModelBroken, match="rpc_servers names workers"):
        process.load()


def test_stopping_ends_a_load(good: Path, started: Start) -> None:
    process = started(good)
    os.kill(process.pid, signal.SIGSTOP)  # as a load that takes long
    stopping = threading.Timer(0.1, process.stop)
    stopping.start()

    with pytest.raises(Unavailable, match="is being ended"):
        process.load()
    stopping.join()


PARENT = """
import os, sys
from textmill.providers.llamacpp.process import LlamaProcess
from textmill.providers.llamacpp.settings import Launch
import msgspec
process = LlamaProcess("m", msgspec.json.decode(sys.argv[1], type=Launch), dict(os.environ))
process.load()
print(process.pid, process.socket.parent, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_a_parent_that_is_killed_and_the_next_one_removes_its_folder(good: Path, started: Start) -> None:
    told = msgspec.json.encode(launch(good)).decode()
    parent = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", PARENT, told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRON
    )
    with parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().decode().split()
        descriptor = os.pidfd_open(int(pid))
        parent.kill()
        parent.wait()

        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)
    assert Path(folder).exists()
    started(good).load()
    assert not Path(folder).exists()


def test_standard_input_that_closes_ends_it(good: Path, tmp_path: Path) -> None:
    told = {"settings": {"model.path": str(good), "hostnames": [str(tmp_path / "m.sock")]}, "lora": [], "rpc": ""}
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-P", str(child.__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        assert b"ready" in process.stdout.readline()

        process.stdin.close()

        assert process.wait(10) in (0, -signal.SIGIO)


def test_a_number_that_llama_cpp_has_no_room_for_is_named(good: Path, started: Start) -> None:
    with pytest.raises(ModelBroken, match=r"n_ctx is 99999999999, which is more than llama\.cpp has room for"):
        started(good, context=99_999_999_999).load()


def test_a_process_that_is_killed_leaves_the_systems_table(good: Path, started: Start) -> None:
    process = started(good)
    process.load()
    os.kill(process.pid, signal.SIGKILL)
    process._reader.join(10)
    assert not Path(f"/proc/{process.pid}").exists()
