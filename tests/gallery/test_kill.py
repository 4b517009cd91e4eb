"""kill -9 at any point: the next start is clean and resumes. Real processes, really killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.gallery.conftest import QUICK, Getting

from textmill.gallery.access import Access
from textmill.gallery.gallery import Gallery
from textmill.gallery.jobs import Jobs
from textmill.gallery.stop import Stop
from textmill.gallery.sweep import sweep
from textmill.gallery.wish import Wish
from textmill.testing.fileserver import Fault, FileServer

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()

JOB = """
import sys, time
from pathlib import Path
from textmill.gallery.access import Access
from textmill.gallery.gallery import Gallery
from textmill.gallery.jobs import Jobs
from textmill.gallery.wish import Wish
folder, host, url = sys.argv[1:]
jobs = Jobs(Gallery(Path(folder), access=Access(allowed_hosts=frozenset({host}))).carry_out, Path(folder))
print(jobs.submit(Wish(url=url, name="killed")), flush=True)
time.sleep(60)
"""

WRITE = """
import sys
from pathlib import Path
from textmill.gallery.files import write_whole
target, texts = Path(sys.argv[1]), [b"name: a\\n" + b"#" * 100_000, b"name: b\\n" + b"#" * 200_000]
print("begun", flush=True)
while True:
    for text in texts:
        write_whole(target, text)
"""


@contextmanager
def process(program: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - for the child
    child = subprocess.Popen([sys.executable, "-c", program, *args], stdout=subprocess.PIPE, text=True, env=env)  # noqa: S603 - ours
    try:
        yield child
    finally:
        kill(child)
        if child.stdout:
            child.stdout.close()


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture
def document(server: FileServer) -> str:
    server.files["/big.gguf"] = DATA
    server.files["/killed.yaml"] = yaml.safe_dump(
        {
            "name": "killed",
            "config_file": "parameters: {model: big.gguf}",
            "files": [{"filename": "big.gguf", "uri": server.url("/big.gguf"), "sha256": SHA256}],
        }
    ).encode()
    return server.url("/killed.yaml")


def test_an_installation_that_is_killed_is_taken_up_by_the_next_process(
    server: FileServer, document: str, access: Access, tmp_path: Path
) -> None:
    server.faults["/big.gguf"] = [Fault(sent=300_000, stall=True)]
    with process(JOB, str(tmp_path), server.host, document) as child:
        key = line_of(child)
        eventually(lambda: size(tmp_path / "big.gguf.part") == 300_000)
        kill(child)

    assert not (tmp_path / "killed.yaml").exists()
    assert not (tmp_path / "big.gguf").exists()
    server.asked.clear()
    gallery = Gallery(tmp_path, access=access)
    jobs = Jobs(gallery.carry_out, tmp_path)
    gallery.sweep()
    assert jobs.resume() == [key]
    eventually(lambda: jobs.record(key).processed)
    jobs.close()

    assert jobs.record(key).message == "completed"
    assert (tmp_path / "big.gguf").read_bytes() == DATA
    assert yaml.safe_load((tmp_path / "killed.yaml").read_text())["name"] == "killed"
    ranges = {each.path: each.headers.get("range") for each in server.asked}
    assert ranges == {"/killed.yaml": None, "/big.gguf": "bytes=300000-"}
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".textmill", "._gallery_killed.yaml", "big.gguf", "killed.yaml"}


def test_who_waits_for_a_process_that_is_killed_takes_its_download_over(
    server: FileServer, document: str, getting: Getting
) -> None:
    server.faults["/big.gguf"] = [Fault(sent=300_000, stall=True)]
    folder = getting.folder
    done: list[bytes] = []

    def wait() -> None:
        Gallery(folder, access=Access(patience=QUICK, allowed_hosts=frozenset({server.host}))).carry_out(
            Wish(url=document, name="other"), stop=Stop()
        )
        done.append((folder / "big.gguf").read_bytes())

    with process(JOB, str(folder), server.host, document) as child:
        eventually(lambda: size(folder / "big.gguf.part") == 300_000)
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        assert server.paths().count("/big.gguf") == 1
        kill(child)
        waiter.join(10)

    assert done == [DATA]
    assert server.asked[-1].headers["range"] == "bytes=300000-"


def test_a_model_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    target = tmp_path / "model.yaml"
    target.write_bytes(b"name: a\n" + b"#" * 100_000)  # one may be killed before it has written anything
    for _ in range(4):
        with process(WRITE, str(target)) as child:
            line_of(child)
            time.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - any moment
            kill(child)

        sweep(tmp_path)

        assert target.read_bytes() in (b"name: a\n" + b"#" * 100_000, b"name: b\n" + b"#" * 200_000)
        assert [path.name for path in tmp_path.iterdir()] == ["model.yaml"]


def test_sweeping_leaves_what_is_in_use_and_what_is_not_ours(tmp_path: Path) -> None:
    kept = [
        f".a.yaml.{os.getpid()}-0123abcd.tmp",
        ".other.tmp",
        "x.gguf.part",
        "x.gguf.part.json",
        "y.gguf.part.json",
        "model.yaml",
    ]
    for name in kept:
        (tmp_path / name).write_text("x")
    (tmp_path / "old.part.json").write_text("x")
    os.utime(tmp_path / "old.part.json", (1, 1))

    sweep(tmp_path)
    sweep(tmp_path / "absent")

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
