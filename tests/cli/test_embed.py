from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
from click.testing import Result

import textmill
from textmill.contract import EmbedOptions

Command = Callable[..., Result]

LINES = ["the first text", "", "and a third"]


@pytest.fixture
def expected(tiny: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with textmill.load(tiny) as model:
        return np.asarray(model.embed(LINES)).reshape(len(LINES), -1)


def test_lines_of_stdin_become_vectors_as_the_library_gives_them(
    command: Command, tiny: str, expected: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    result = command("embed", tiny, stdin="\n".join(LINES).encode())

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.output
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert np.allclose([line["embedding"] for line in lines], expected, atol=1e-6)


def test_npy_goes_through_a_pipe(command: Command, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("\n".join(LINES))

    result = command("embed", tiny, str(file), "--format", "npy", "--dimensions", "5", "--no-normalize")

    assert np.load(io.BytesIO(result.stdout_bytes)).shape == (3, 5)


def test_safetensors_says_what_made_the_vectors(command: Command, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / "vectors.safetensors"
    with textmill.load(tiny) as model:
        info, expected = model.info, model.embed(LINES, prompt="ask: ", dimensions=5, normalize=False)

    arguments = ["--prompt", "ask: ", "--dimensions", "5", "--no-normalize", "--expect-fingerprint", info.fingerprint]
    result = command(
        "embed", tiny, "-o", str(file), "--format", "safetensors", *arguments, stdin="\n".join(LINES).encode()
    )

    assert result.exit_code == 0, result.output
    with safetensors.safe_open(file, "numpy") as opened:
        assert np.allclose(opened.get_tensor("embeddings"), expected, atol=1e-5)
        about = opened.metadata()
    assert about == {
        "model": info.source,
        "fingerprint": info.fingerprint,
        "prompt": "ask: ",
        "dimensions": "5",
        "normalized": "false",
        "dtype": info.dtype,
        "runtime": "openvino",
        "textmill": textmill.__version__,
    }


def test_another_model_than_expected_is_refused_with_both_fingerprints(command: Command, tiny: str) -> None:
    result = command("embed", tiny, "--expect-fingerprint", "f00d", stdin=b"a text")

    assert result.exit_code == 1
    assert "and f00d is expected" in result.stderr


def test_a_cache_answers_the_next_run_with_the_same_bytes(command: Command, tiny: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    runs = [command("embed", tiny, "--cache-path", str(cache), stdin="\n".join(LINES).encode()) for _ in range(2)]

    assert runs[0].stdout_bytes == runs[1].stdout_bytes
    with textmill.load(tiny, cache_path=cache) as model:
        made = asyncio.run(model.embed_inputs([*LINES, "another"], EmbedOptions()))
    assert made.cached == len(LINES)


def test_a_prompt_changes_the_vectors(command: Command, tiny: str, tmp_path: Path) -> None:
    outputs = []
    for prompt in ("", "query: "):
        result = command("embed", tiny, "-o", str(tmp_path / "out"), "--prompt", prompt, stdin=b"a text")
        assert (result.exit_code, result.stdout) == (0, "")
        outputs.append((tmp_path / "out").read_bytes())

    assert outputs[0] != outputs[1]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--prompt-name", "nope"], b"text", "no prompt named 'nope'"),
        (["--dimensions", "99999"], b"text", "dimensions is 99999"),
        (["--no-truncate"], b"word " * 500, "tokens"),
        ([], b"ok\n\xff\n", "line 2 of standard input is not UTF-8"),
        (["no-such-file"], b"", "no-such-file cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1(
    command: Command, tiny: str, arguments: list[str], stdin: bytes, message: str
) -> None:
    result = command("embed", tiny, *arguments, stdin=stdin)

    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1


def test_a_broken_model_is_one_line_and_exit_code_1(command: Command, tmp_path: Path) -> None:
    result = command("embed", str(tmp_path), stdin=b"text")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"textmill: error: {tmp_path} has no config.json"
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("file", "reason"), [("no-folder/out", "No such file or directory"), ("", "Is a directory")])
def test_a_file_that_cannot_be_made_is_known_before_the_model_loads(
    command: Command, tmp_path: Path, file: str, reason: str
) -> None:
    target = str(tmp_path / file)

    result = command("embed", "no-such-model", "-o", target, stdin=b"text")

    assert result.exit_code == 1
    assert result.stderr == f"textmill: error: {target} cannot be written: {reason}\n"


def test_a_full_disk_is_one_line_and_exit_code_1(command: Command, tiny: str) -> None:
    result = command("embed", tiny, "-o", "/dev/full", stdin=b"text")

    assert result.exit_code == 1
    assert result.stderr == "textmill: error: /dev/full cannot be written: No space left on device\n"


def test_a_model_that_fails_to_load_leaves_no_output(command: Command, tmp_path: Path) -> None:
    assert command("embed", str(tmp_path), "-o", str(tmp_path / "out"), stdin=b"text").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_texts_that_were_cut_are_counted(command: Command, tiny: str) -> None:
    result = command("embed", tiny, stdin=b"word\n" + b"word " * 500 + b"\n" + b"word " * 400)

    assert result.exit_code == 0
    assert "2 texts had more than 32 tokens and were cut; --no-truncate refuses them" in result.stderr
