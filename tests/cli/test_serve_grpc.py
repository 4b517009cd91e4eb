"""`textmill serve --grpc-port` as a process of its own: its ready line, its drain, and what is said where it cannot be."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from textmill.cli.door import bind, listen
from textmill.grpc.messages import EmbedRequest, EmbedResponse

pytestmark = pytest.mark.timeout(60)  # a process imports everything anew, and the machine may be busy

Start = Callable[..., "subprocess.Popen[str]"]
Stub = Callable[..., Any]


@pytest.fixture
def start(tiny: str) -> Iterator[Start]:
    """Starts `textmill serve` with a tiny model and these arguments; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, path: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "textmill", "serve", "--port", "0", "--threads", "1", *(arguments or [tiny])]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([path, *sys.path])}  # noqa: TID251 - to pass it on
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ))  # noqa: S603 - ours
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def channel_of(process: subprocess.Popen[str]) -> Any:
    """Wait for the ready line; a channel to the address that it names."""
    assert process.stdout
    line = process.stdout.readline()
    found = re.search(r"ready on http://127\.0\.0\.1:\d+ and grpc://(127\.0\.0\.1:\d+) with tiny ", line)
    assert found, line or process.communicate()[1]
    return grpc.insecure_channel(found[1])


def stream_of(channel: Any) -> Stub:
    call: Stub = channel.stream_stream(
        "/tei.v1.Embed/EmbedStream", EmbedRequest.SerializeToString, EmbedResponse.FromString
    )
    return call


def test_a_stream_under_way_at_sigterm_is_answered_and_a_later_call_refused(start: Start, tiny: str) -> None:
    process = start(tiny, "--grpc-port", "0", "--dtype", "float32", "--drain-seconds", "30")
    go_on = threading.Event()

    def messages() -> Iterator[Any]:
        yield EmbedRequest(inputs="first")
        go_on.wait(30)
        for i in range(100):
            yield EmbedRequest(inputs=f"text {i}")

    with channel_of(process) as channel:
        answers = stream_of(channel)(messages(), timeout=30)
        assert len(next(answers).embeddings) > 0
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service="tei.v1.Embed"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as refused:
            next(stream_of(channel)(iter([EmbedRequest(inputs="late")]), timeout=30))
        go_on.set()
        rest = list(answers)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(rest) == 100
    output, errors = process.communicate()
    assert output == ""
    assert all(" INFO " in line for line in errors.splitlines())
    assert process.returncode == 0


def test_a_stream_without_end_delays_the_exit_no_longer_than_the_deadline(start: Start, tiny: str) -> None:
    process = start(tiny, "--grpc-port", "0", "--dtype", "float32", "--drain-seconds", "1")
    never = threading.Event()

    def messages() -> Iterator[Any]:
        yield EmbedRequest(inputs="first")
        never.wait(30)

    with channel_of(process) as channel:
        answers = stream_of(channel)(messages(), timeout=30)
        next(answers)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as ended:
            next(answers)
        never.set()

    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in ended.value.details()
    output, errors = process.communicate()
    assert output == ""
    assert all(" INFO " in line for line in errors.splitlines())
    assert process.returncode == 0


def test_a_taken_port_is_known_before_a_model_loads(start: Start) -> None:
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        process = start("no-such-model", "--grpc-port", str(taken.getsockname()[1]))

        _, errors = process.communicate()

    assert process.returncode == 1
    assert re.fullmatch(
        r"textmill: error: port \d+ on 127\.0\.0\.1 is taken; choose another with --grpc-port.*\n", errors
    )


def test_without_the_extra_the_pip_command_is_said_before_a_model_loads(start: Start, tmp_path: Path) -> None:
    (tmp_path / "grpc_reflection.py").write_text("raise ImportError('not here', name='grpc_reflection')")
    process = start("no-such-model", "--grpc-port", "0", path=str(tmp_path))

    _, errors = process.communicate()

    assert process.returncode == 1
    assert "pip install 'textmill[grpc]'" in errors
    assert len(errors.splitlines()) == 1
