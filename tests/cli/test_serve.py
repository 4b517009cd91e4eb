"""The command as a process of its own: its ready line, its signals, its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from textmill.cli.door import bind, listen
from textmill.cli.serve import ready_line
from textmill.contract import ModelInfo
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.served import info_of

pytestmark = pytest.mark.timeout(60)  # a process imports everything anew, and the machine may be busy

Start = Callable[..., "subprocess.Popen[str]"]


def port_of(process: subprocess.Popen[str], *, name: str = "tiny", dtype: str = "float32", threads: str = "1") -> int:
    """Wait for the ready line; the port that it names."""
    assert process.stdout
    line = process.stdout.readline()
    found = re.fullmatch(
        rf"textmill \S+ ready on http://127\.0\.0\.1:(\d+) with {name} \(openvino, {dtype}, {threads} threads?\) after \d+\.\d s\n",
        line,
    )
    assert found, line or process.communicate()[1]
    return int(found[1])


def test_it_says_when_it_is_ready_and_answers_those_who_have_the_key(start: Start, tiny: str) -> None:
    process = start(tiny, "--port", "0", "--threads", "1", TEXTMILL_DTYPE="float32", TEXTMILL_API_KEY="key")
    url = f"http://127.0.0.1:{port_of(process)}/v1/embeddings"

    with httpx.Client() as client:
        assert client.post(url, json={"input": "a text"}).status_code == 401
        headers = {"authorization": "Bearer key", "origin": "https://page.example"}
        answer = client.post(url, json={"input": ["a text", "two"]}, headers=headers)

    assert "access-control-allow-origin" not in answer.headers  # no page may call unless an option lets it
    assert len(answer.json()["data"]) == 2


def test_keys_come_from_a_file_beside_those_given_and_show_nowhere(start: Start, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# clients\nkey-in-file\n")
    process = start(
        *(tiny, "--port", "0", "--threads", "1", "--api-key-file", str(tmp_path / "keys"), "--log-level", "debug"),
        TEXTMILL_DTYPE="float32",
        TEXTMILL_API_KEY="key-given, key-second",
    )
    url = f"http://127.0.0.1:{port_of(process)}/embed"
    statuses = [
        httpx.post(url, json={"inputs": "a"}, headers={"authorization": f"Bearer {key}"}).status_code
        for key in ("key-in-file", "key-given", "key-second", "key-wrong")
    ]
    process.terminate()
    output, errors = process.communicate()

    assert statuses == [200, 200, 200, 401]
    assert "key-" not in output + errors.replace("api-key-file", "")


def test_a_file_without_a_key_stops_the_start_before_a_model_loads(start: Start, tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    process = start("no-such-model", "--port", "0", "--api-key-file", str(tmp_path / "keys"))

    _, errors = process.communicate()

    assert process.returncode == 1
    assert "keys holds none" in errors
    assert len(errors.splitlines()) == 1


@contextmanager
def request_without_its_body(port: int, body: bytes) -> Iterator[socket.socket]:
    """A connection whose request the server has begun to handle: it waits for the body."""
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield connection


def test_a_request_under_way_at_sigterm_is_answered_before_the_exit(start: Start, tiny: str) -> None:
    process = start(tiny, "--port", "0", "--threads", "1", "--dtype", "float32")
    body = json.dumps({"input": [f"a text with number {i}" for i in range(2000)]}).encode()
    with request_without_its_body(port_of(process), body) as connection, connection.makefile("rb") as stream:
        process.send_signal(signal.SIGTERM)
        connection.sendall(body)
        answer = stream.read()

    assert len(json.loads(answer.split(b"\r\n\r\n")[-1])["data"]) == 2000
    output, log = process.communicate()
    assert (output, process.returncode) == ("", 0)
    lines = [line.partition(" INFO ")[2] for line in log.splitlines()]
    assert [re.sub(r"[\d.:]+$", "", line) for line in lines] == ["textmill: Starting HTTP server: ", "textmill: Ready"]


def test_a_client_that_stalls_delays_the_exit_no_longer_than_the_deadline(start: Start, tiny: str) -> None:
    process = start(tiny, "--port", "0", "--threads", "1", "--dtype", "float32", "--drain-seconds", "0")
    with request_without_its_body(port_of(process), b"never sent"):
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 0


def test_a_second_signal_ends_it_at_once(start: Start, tiny: str) -> None:
    process = start(tiny, "--port", "0", "--threads", "1", "--dtype", "float32", "--drain-seconds", "1000")
    port = port_of(process)
    with request_without_its_body(port, b"never sent"):
        process.send_signal(signal.SIGTERM)
        wait_until_draining(port)
        process.send_signal(signal.SIGTERM)

        assert process.wait() == 128 + signal.SIGTERM


def wait_until_draining(port: int) -> None:
    """Return when the server says that it takes no more requests: the first signal has been taken."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=30).status_code == 503:
            return
    pytest.fail(f"port {port} is still ready 30 s after SIGTERM")


def test_sigint_drains_too(start: Start, tiny: str) -> None:
    process = start(tiny, "--port", "0", "--threads", "1", "--dtype", "float32")
    port_of(process)

    process.send_signal(signal.SIGINT)

    assert process.wait() == 0


def test_a_stop_while_models_load_ends_it_at_once(start: Start, tmp_path: Path) -> None:
    """The model's file is a pipe that nobody writes to, so that loading never ends; opening it says that it has begun."""
    os.mkfifo(tmp_path / "config.json")
    process = start(str(tmp_path), "--port", "0")

    with (tmp_path / "config.json").open("w"):
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_taken_port_is_known_before_a_model_loads(start: Start) -> None:
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        port = taken.getsockname()[1]
        process = start("no-such-model", "--port", str(port))

        _, errors = process.communicate()

    assert process.returncode == 1
    assert errors.startswith(f"textmill: error: port {port} on 127.0.0.1 is taken")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(("flag", "says"), [("--port", "port "), ("--grpc-port", "cannot listen for gRPC on ")])
def test_a_port_that_is_taken_while_models_load_is_one_line_and_exit_code_1(
    flag: str, says: str, start: Start, tmp_path: Path
) -> None:
    """The model's config is a pipe: loading has begun once it is open, and goes on once it is written."""
    folder = tiny_bert(tmp_path / "tiny")
    config = folder / "config.json"
    text = config.read_text()
    config.unlink()
    os.mkfifo(config)
    with bind("127.0.0.1", 0) as rival:
        process = start(str(folder), flag, str(rival.getsockname()[1]))
        with config.open("w") as pipe:
            listen(rival)
            pipe.write(text)

        output, errors = process.communicate()

    assert (process.returncode, output) == (1, "")
    assert errors.startswith(f"textmill: error: {says}")
    assert flag in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-model"], "no-such-model"),
        (["--port", "http"], "--port has an impossible value 'http'"),
        (["--config", "no-such.yaml"], "no-such.yaml cannot be read"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_code_1(
    start: Start, arguments: Sequence[str], message: str
) -> None:
    process = start("--port", "0", *arguments)

    output, errors = process.communicate()

    assert (process.returncode, output) == (1, "")
    assert errors.startswith("textmill: error: ")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_the_ready_line_names_every_model_with_how_it_runs() -> None:
    models: list[ModelInfo] = [info_of("first"), info_of("second")]

    line = ready_line("http://host:1", models, 1.26)

    assert line.startswith("textmill ")
    assert line.endswith(" s")
    assert "ready on http://host:1 with first (" in line
    assert "), second (" in line
    assert "after 1.3 s" in line


@pytest.mark.parametrize("body", ["", "transfer-encoding: chunked\r\n\r\n0\r\n"], ids=["head", "trailers"])
def test_a_head_without_end_is_cut_off_and_the_next_request_answered(start: Start, tiny: str, body: str) -> None:
    port = port_of(start(tiny, "--port", "0", "--dtype", "float32", "--threads", "1"))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"POST /embed HTTP/1.1\r\nhost: a\r\n{body}".encode())
        with suppress(ConnectionError):
            for _ in range(4 << 20 >> 16):
                client.sendall(b"x: " + b"y" * ((1 << 16) - 5) + b"\r\n")
        with suppress(ConnectionError):
            while client.recv(1000):  # until it is closed
                pass
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


def test_a_command_line_of_tei_works_as_it_is(start: Start, tiny: str) -> None:
    variables = {
        "MODEL_ID": tiny,
        "PORT": "0",
        "HOSTNAME": "f3a9c1",
        "API_KEY": "s3cret",
        "USE_FLASH_ATTENTION": "true",
    }
    process = start(
        "--hf-token", "hf_s3cret", "--json-output", "--auto-truncate", "false", "--uds-path", "/x", **variables
    )
    url = f"http://127.0.0.1:{port_of(process, dtype='[a-z0-9]+', threads='[0-9]+')}"
    headers = {"authorization": "Bearer s3cret"}

    assert httpx.post(f"{url}/embed", json={"inputs": "a"}).status_code == 401
    assert httpx.post(f"{url}/embed", json={"inputs": "a"}, headers=headers).status_code == 200
    assert httpx.get(f"{url}/info", headers=headers).json()["auto_truncate"] is False
    process.send_signal(signal.SIGTERM)
    output, log = process.communicate()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"].partition(":")[0].partition(" on ")[0] for line in lines] == [
        "taken, but without effect in textmill",
        "HOSTNAME is ignored",
        "taken from the environment, as Text Embeddings Inference names them",
        "taken, but without effect in textmill",
        "Starting HTTP server",
        "Ready",
    ]
    assert lines[2]["message"].endswith("MODEL_ID, PORT, API_KEY")
    assert "s3cret" not in output + log


def test_tei_serves_as_tei_does(start: Start, tiny: str) -> None:
    arguments = [
        "--model-id",
        tiny,
        "--hostname",
        "127.0.0.1",
        "-p",
        "0",
        "--served-model-name",
        "mine",
        "--threads",
        "1",
    ]
    process = start(*arguments, "--max-batch-tokens", "16", command="tei")
    url = f"http://127.0.0.1:{port_of(process, name='mine')}"

    info = httpx.get(f"{url}/info").json()
    answer = httpx.post(
        f"{url}/v1/embeddings", json={"input": "a", "model": "anything"}, headers={"origin": "http://a"}
    )

    known = {"served_model_name": "mine", "model_dtype": "float32", "max_client_batch_size": 32}
    assert info.items() >= {**known, "max_concurrent_requests": 512, "max_input_length": 16}.items()
    assert answer.headers["access-control-allow-origin"] == "*"


def test_tei_without_a_model_is_one_line_and_exit_code_1(start: Start) -> None:
    process = start(command="tei")

    _, errors = process.communicate()

    assert process.returncode == 1
    assert errors.startswith("textmill: error: textmill tei needs a model")
    assert len(errors.splitlines()) == 1
