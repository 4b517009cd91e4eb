"""`textmill pull` and `textmill models`, as people type them."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.cli.conftest import Start

from textmill.testing.checkpoints import tiny_bert
from textmill.testing.fileserver import Fault, FileServer, file_server
from textmill.testing.gguf import write_gguf

INDEX = """
- name: bert
  description: {long}
  files: [{{filename: bert.gguf, uri: '{url}'}}]
  overrides: {{backend: llama-cpp, parameters: {{model: bert.gguf}}}}
"""

Typed = Callable[..., Result]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with file_server() as running:
        running.files["/x.gguf"] = write_gguf(tmp_path / "x.gguf", {"general.architecture": "bert"}).read_bytes()
        running.files["/index.yaml"] = INDEX.format(url=running.url("/x.gguf"), long="long " * 30).encode()
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def typed(command: Typed, models: Path, server: FileServer) -> Typed:
    """Runs `textmill` on the folder, with the file server as an allowed host and as the gallery."""

    def run(*words: str) -> Result:
        gallery = f"test={server.url('/index.yaml')}"
        where = ("--models-path", str(models), "--galleries", gallery, "--download-host", server.host)
        return command(*words, *where, "--no-offline")

    return run


def test_a_file_becomes_a_model_and_the_command_says_what_it_is(typed: Typed, server: FileServer, models: Path) -> None:
    result = typed("pull", server.url("/x.gguf"), "--name", "mine")

    assert result.exit_code == 0
    assert (models / "x.gguf").read_bytes() == server.files["/x.gguf"]
    assert "installed mine as" in result.stdout
    assert "and name mine in requests" in result.stdout


def test_a_repository_that_can_be_served_says_how(
    typed: Typed, server: FileServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [{"rfilename": name} for name in ("config.json", "model.safetensors")]
    server.files["/api/models/owner/tiny"] = json.dumps({"siblings": files}).encode()
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    cache = models.parent / "cache"
    snapshot = cache / "models--owner--tiny" / "snapshots" / "c0ffee"
    tiny_bert(snapshot)
    (cache / "models--owner--tiny" / "refs").mkdir()
    (cache / "models--owner--tiny" / "refs" / "main").write_text("c0ffee")

    result = typed("pull", "owner/tiny", "--cache-dir", str(cache))

    assert f"serve it: textmill serve --models-path {models}, and name owner/tiny" in result.stdout
    [row] = json.loads(typed("models", "list", "--json", "--cache-dir", str(cache)).stdout)
    assert (row["name"], row["state"], row["does"]) == ("owner/tiny", "ready", ["embeddings", "tokenize"])


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_file_of_this_machine_may_be_named_by_who_types(
    typed: Typed, form: str, tmp_path: Path, models: Path
) -> None:
    result = typed("pull", form.format(tmp_path / "x.gguf"))

    assert result.exit_code == 0
    assert (models / "x.gguf").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("/none/x.gguf",), "/none/x.gguf is not there"),
        (("/",), "is a folder"),
        ((" ",), "no model without a name"),
        (("bret",), "near names are bert"),
        (("ftp://host/x",), "has a scheme that textmill does not fetch"),
        (("owner/repo", "--sha256", "0" * 64), "is not one file"),
        (("bert", "--sha256", "0" * 64), "leave --sha256 out"),
    ],
)
def test_what_cannot_be_pulled_is_one_sentence_and_1(typed: Typed, words: tuple[str, ...], says: str) -> None:
    result = typed("pull", *words)

    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("words", [("pull", "bert"), ("models", "rm", "x")])
def test_a_models_folder_that_is_a_file_is_one_sentence(typed: Typed, words: tuple[str, ...], models: Path) -> None:
    models.touch()

    result = typed(*words)

    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert str(models) in result.stderr


def test_the_checksum_is_checked(typed: Typed, server: FileServer, models: Path) -> None:
    wrong = typed("pull", server.url("/x.gguf"), "--sha256", "0" * 64)
    assert (wrong.exit_code, list(models.glob("x*"))) == (1, [])
    assert "is due" in wrong.stderr
    right = hashlib.sha256(server.files["/x.gguf"]).hexdigest()

    assert typed("pull", server.url("/x.gguf"), "--sha256", right.upper()).exit_code == 0


def test_a_private_host_is_refused_with_the_flag_that_allows_it(
    command: Typed, server: FileServer, models: Path
) -> None:
    result = command("pull", server.url("/x.gguf"), "--models-path", str(models), "--no-offline")

    assert result.exit_code == 1
    assert "--download-host 127.0.0.1" in result.stderr


def test_ctrl_c_leaves_what_the_same_command_resumes(start: Start, server: FileServer, models: Path) -> None:
    server.files["/big.bin"] = bytes(range(256)) * 4000
    server.faults["/big.bin"] = [Fault(sent=300_000, stall=True)]
    words = (server.url("/big.bin"), "--models-path", str(models), "--download-host", server.host, "--no-offline")
    process = start(*words, command="pull")
    part = models / "big.bin.part"
    end = time.monotonic() + 15
    while (not part.exists() or not part.stat().st_size) and time.monotonic() < end:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=10)

    assert (process.returncode, out) == (130, "")
    assert "the same command resumes" in error
    assert "Traceback" not in error
    assert part.stat().st_size
    again = start(*words, command="pull")
    assert "installed big.bin" in again.communicate(timeout=15)[0]
    assert "range" in server.asked[-1].headers
    assert (models / "big.bin").read_bytes() == server.files["/big.bin"]


def test_the_models_of_a_folder_and_what_is_wrong_with_some(typed: Typed, models: Path) -> None:
    tiny_bert(models / "tiny")
    (models / "a.yaml").write_text(
        "- {name: fine, numa: true, parameters: {model: tiny}}\n- {name: bad, parameters: {model: ../x}}\n"
        "- {name: off, disabled: true, parameters: {model: tiny}}\n- {name: ada, alias: fine}\n"
        "- {name: hub, parameters: {model: owner/none}}\n"
    )

    result = typed("models", "list", "--json")
    rows = {row["name"]: row["state"] for row in json.loads(result.stdout)}

    assert rows == {
        "fine": "ready",
        "bad": "broken",
        "off": "disabled",
        "ada": "another name of fine",
        "hub": "is downloaded when it is first used",
    }
    assert "a.yaml:2" in result.stderr
    assert [line.split()[0] for line in typed("models", "list", "f").stdout.splitlines()] == ["name", "fine", "off"]


def test_a_model_is_shown_with_reasons_and_idle_fields(typed: Typed, models: Path) -> None:
    tiny_bert(models / "tiny")
    (models / "a.yaml").write_text("- {name: fine, numa: true, threads: 2, parameters: {model: tiny}}\n")

    shown = typed("models", "show", "fine").stdout
    facts = json.loads(typed("models", "show", "fine", "--json").stdout)

    assert "the folder holds safetensors weights that textmill runs itself" in shown
    assert facts["file"].endswith("a.yaml:1")
    assert facts["options"] == ["threads: 2"]
    assert facts["fields that do nothing yet"] == ["numa: without effect here"]


def test_a_broken_model_is_shown_with_its_problem(typed: Typed, models: Path) -> None:
    models.mkdir()
    (models / "a.yaml").write_text("{name: bad, parameters: {model: ../x}}")

    result = typed("models", "show", "bad")

    assert (result.exit_code, "a.yaml:1: parameters.model" in result.stdout) == (0, True)


@pytest.mark.parametrize("verb", ["show", "rm"])
def test_an_unknown_name_names_the_nearest(typed: Typed, verb: str, models: Path) -> None:
    tiny_bert(models / "tiny")

    result = typed("models", verb, "tin")

    assert (result.exit_code, "did you mean tiny?" in result.stderr) == (1, True)


def test_what_galleries_have_is_listed_installed_and_deleted(typed: Typed, models: Path) -> None:
    [row] = json.loads(typed("models", "list", "--available", "--json").stdout)
    assert (row["name"], row["gallery"], row["backend"], row["installed"]) == ("bert", "test", "llama-cpp", "")
    assert len(row["description"]) < 70

    assert typed("models", "install", "test@bert", "--name", "other").exit_code == 0
    assert "deleted other.yaml, bert.gguf" in typed("models", "rm", "other").stdout
    assert [path.name for path in models.iterdir() if path.name != ".textmill"] == []


def test_what_a_model_of_a_file_elsewhere_uses_is_not_deleted(typed: Typed, models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "all.yaml"
    elsewhere.write_text("- name: theirs\n  parameters: {model: bert.gguf}\n")
    typed("models", "install", "test@bert")
    beside = ("--models-config-file", str(elsewhere))

    assert "theirs" in typed("models", "list", *beside).stdout
    assert "kept bert.gguf, which other models use" in typed("models", "rm", "bert", *beside).stdout
    assert (models / "bert.gguf").exists()


def test_a_gallery_that_cannot_be_read_is_no_empty_list(command: Typed, models: Path, server: FileServer) -> None:
    gallery = f"test={server.url('/none.yaml')}"
    result = command("models", "list", "--available", "--models-path", str(models), "--galleries", gallery)

    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)
