"""`textmill doctor` over good and bad folders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from textmill.testing.checkpoints import tiny_bert

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_folder_in_order_is_fine(command: Command, tmp_path: Path) -> None:
    tiny_bert(tmp_path / "models/tiny")
    (tmp_path / "models/a.yaml").write_text("name: ada\nembeddings: true\nlow_vram: true\nparameters: {model: tiny}\n")

    result = command("doctor")

    assert result.exit_code == 0, result.output
    for part in ("ada: can be served; embeddings", "ours: ", "low_vram: without effect here", "Problems: none", "CPU "):
        assert part in result.output


def test_each_problem_is_named_and_the_code_is_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/a.yaml").write_text("- {name: gpt-4, backend: sglang, parameters: {model: a/b}}\n- {nam: x}\n")
    (tmp_path / "models/bad.yaml").write_bytes(b"\x00\xff")
    (tmp_path / "models/loop.yaml").symlink_to("loop.yaml")

    result = command("doctor", "--json")
    report = json.loads(result.output)

    assert result.exit_code == 1
    assert {"gpt-4", "bad.yaml"} <= {problem["about"] for problem in report["problems"] if problem["level"] == "error"}
    [model] = report["models"]
    assert "is no part of textmill" in model["refusal"]


def test_options_say_where_they_come_from_and_secrets_do_not_show(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "serve.yaml").write_text("port: 9\n")
    monkeypatch.setenv("TEXTMILL_API_KEY", "s3cret")
    monkeypatch.setenv("LOCALAI_THREADS", "1")

    for arguments in (["--json"], []):
        result = command("doctor", "--config", "serve.yaml", "--host", "::1", "--token", "s3cret", *arguments)
        assert "s3cret" not in result.output
    options = json.loads(command("doctor", "--config", "serve.yaml", "--host", "::1", "--json").output)["options"]

    assert {name: each["from"] for name, each in options.items()} == {
        "api_key": "TEXTMILL_API_KEY",
        "cache_dir": "HF_HUB_CACHE",
        "config": "--config",
        "host": "--host",
        "offline": "HF_HUB_OFFLINE",
        "port": "port in serve.yaml",
        "threads": "LOCALAI_THREADS",
    }


def test_addresses_show_without_their_secrets(command: Command, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/far.yaml").write_text(
        "{name: far, parameters: {model: 'https://user:s3cret@host/x.onnx?token=s3cret'}}"
    )
    entry = '{"url": "https://s3cret@host/m.yaml?sig=s3cret", "name": "ada"}'

    for arguments in (["--json"], []):
        output = command(
            "doctor", "--preload", entry, "--galleries", "a=https://b:s3cret@host/i.yaml", *arguments
        ).output
        assert "s3cret" not in output
        assert "***@host/m.yaml?***" in output


@pytest.mark.parametrize(
    "text",
    [
        *("me:s3cret@host:3128", "http://me:s3@s3cret@host:1", "'me:s3cret@host'", "a=me:s3@s3cret@host/i"),
        *("http://me:x/s3cret@host:1", "http://me:x s3cret@host:1", "me:x/s3cret@host:1", "me:x s3cret@host:1"),
    ],
)
def test_users_show_nowhere(command: Command, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)

    for arguments in (["--json"], []):
        output = command("doctor", "--otlp-endpoint", text, "--galleries", f"b={text}", *arguments).output
        assert "s3cret" not in output
        assert output.count("***@host") == 3


def test_what_is_no_user_is_shown(command: Command) -> None:
    named = (
        "github:owner/repo/index.yaml@branch",
        "oci://ghcr.io/a/b:tag@sha256:00",
        "localai@bert",
        "a/b:q4@sha256:0",
    )

    output = command("doctor", "--json", *(part for name in named for part in ("--preload", name))).output

    assert json.loads(output)["options"]["preload"]["value"] == list(named)


def test_settings_that_stop_a_start_are_a_problem_and_no_crash(command: Command, tmp_path: Path) -> None:
    result = command("doctor", "--port", "x", "--models-path", str(tmp_path / "none"))

    assert result.exit_code == 1
    assert "error: settings: --port has an impossible value 'x'" in result.output
    assert "there is no folder" in result.output


def test_it_imports_no_framework() -> None:
    code = "import sys; from textmill.cli import main; main(['doctor'], standalone_mode=False); print(*sys.modules)"
    environ = {"PYTHONPATH": ":".join(sys.path), "HF_HUB_OFFLINE": "1", "PATH": ""}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)  # noqa: S603 - ours

    assert not {"torch", "openvino", "transformers", "httpx"} & set(done.stdout.splitlines()[-1].split())


def test_models_on_servers_elsewhere_whose_keys_are_not_there_are_errors(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COHERE_API_KEY", "CO_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINE_API_KEY", "s3cret")
    monkeypatch.setenv("BAD_API_KEY_FILE", str(tmp_path / "nowhere"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/there.yaml").write_text(
        """
- {name: c, backend: cohere, embeddings: true, parameters: {model: m}}
- {name: az, backend: azure, embeddings: true, parameters: {model: m}}
- {name: off, backend: cohere, disabled: true, parameters: {model: m}}
- {name: mine, backend: remote, embeddings: true, parameters: {model: m}, options: ['base_url:http://h/v1', 'api_key_env:MINE_API_KEY']}
- {name: bad, backend: remote, embeddings: true, parameters: {model: m}, options: ['base_url:http://h/v1', 'api_key_env:BAD_API_KEY']}
- {name: none, backend: tei, embeddings: true, parameters: {model: m}, options: ['base_url:http://h/v1']}
"""
    )
    result = command("doctor", "--json")
    problems = {each["about"]: each["sentence"] for each in json.loads(result.output)["problems"]}

    assert result.exit_code == 1
    assert sorted(problems) == ["az", "bad", "c"]
    assert "COHERE_API_KEY is not set (nor is CO_API_KEY)" in problems["c"]
    assert "AZURE_OPENAI_ENDPOINT is not set" in problems["az"]
    assert "the file that BAD_API_KEY_FILE names cannot be read" in problems["bad"]
    assert "s3cret" not in result.output
