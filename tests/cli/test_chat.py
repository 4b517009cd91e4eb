from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from textmill.testing.openai_server import Answer, Stay, chunk, saying, threaded_openai_server

Command = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.timeout(90)


def test_each_line_of_a_pipe_is_answered_by_a_model_of_the_folder(command: Command, writers: Path) -> None:
    result = command("chat", "mill.gguf", "--models-path", str(writers), "--stats", stdin=b"turn\n\nagain\n")

    assert (result.exit_code, result.stdout) == (0, "The mill turns.\nThe mill turns.\n")
    assert len([line for line in result.stderr.splitlines() if "tokens/s" in line]) == 2


def test_a_path_is_a_model_and_its_reasoning_is_no_part_of_the_answer(command: Command, writers: Path) -> None:
    result = command("chat", str(writers / "thinker.gguf"), stdin=b"turn")

    assert (result.exit_code, result.stdout) == (0, "It turns.\n")


def test_the_answer_fits_a_schema(command: Command, writers: Path, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}')

    result = command("chat", str(writers / "mill.gguf"), "--json-schema", str(file), stdin=b"turn")

    assert json.loads(result.stdout) == {"said": "The mill turns."}


def test_an_answer_that_fills_the_context_is_told_of(command: Command, writers: Path) -> None:
    result = command("chat", str(writers / "endless.gguf"), "--context-size", "256", stdin=b"turn")

    assert result.exit_code == 0
    assert 300 < len(result.stdout) < 2000
    assert "cut where the model's context ends" in result.stderr


def test_what_the_flags_say_goes_to_the_server_of_an_address(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEXTMILL_API_KEY", "secret,other")
    (tmp_path / "said.json").write_text(
        '[{"role": "user", "content": "who?"}, {"role": "assistant", "content": "The mill."}]'
    )
    flags = ["--temperature", "0.5", "--top-p", "0.9", "--max-tokens", "7", "--seed", "3", "--stop", "a", "--stop", "b"]
    with threaded_openai_server(lambda _: saying("It", " turns.")) as server:
        url = server.base_url.removesuffix("/v1")
        more = ["--system", "Be brief.", "--load", str(tmp_path / "said.json"), "--no-reasoning", "--whole"]
        result = command("chat", "m", "--url", url, *flags, *more, stdin=b"and\nnow?\n")

    assert (result.exit_code, result.stdout) == (0, "It turns.\n"), result.output
    [asked] = server.asked
    assert asked.headers["authorization"] == "Bearer secret"
    assert [(each["role"], each["content"]) for each in asked.body["messages"]] == [
        ("system", "Be brief."),
        ("user", "who?"),
        ("assistant", "The mill."),
        ("user", "and\nnow?"),
    ]
    expected = {"model": "m", "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "seed": 3, "stop": ["a", "b"]}
    assert asked.body.items() >= (expected | {"reasoning_effort": "none"}).items()


def test_the_next_question_has_the_answers_before_it(command: Command) -> None:
    with threaded_openai_server(lambda _: saying("It turns.")) as server:
        command("chat", "m", "--url", server.base_url, stdin=b"one\ntwo\n")

    assert [len(body["messages"]) for body in server.bodies] == [1, 3]
    assert server.bodies[1]["messages"][1] == {"role": "assistant", "content": "It turns."}


def test_a_question_without_answer_in_the_file_is_answered_first(command: Command, tmp_path: Path) -> None:
    (tmp_path / "said.json").write_text('{"messages": [{"role": "user", "content": "who?"}]}')
    with threaded_openai_server(lambda _: saying("The mill.")) as server:
        result = command("chat", "m", "--url", server.base_url, "--load", str(tmp_path / "said.json"))

    assert result.stdout == "The mill.\n"


def test_an_error_of_the_server_is_one_sentence_and_ends_it(command: Command) -> None:
    refusal = Answer(status=401, body={"error": {"message": "no"}})
    with threaded_openai_server(lambda _: refusal) as server:
        result = command("chat", "m", "--url", server.base_url, "--api-key", "k-123", stdin=b"one\ntwo\n")

    assert (result.exit_code, result.stdout, len(server.asked)) == (1, "", 1)
    [line] = result.stderr.splitlines()
    assert line.startswith("textmill: error: ")
    assert "--api-key" in line
    assert "k-123" not in line


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("mil.gguf", "has no model 'mil.gguf', and there is no such file; did you mean mill.gguf?"),
        ("./mill", "there is no file or folder ./mill"),
        ("owner/repo/m.gguf", "`textmill pull` gets others"),
    ],
)
def test_a_model_that_is_not_there_is_one_sentence(command: Command, writers: Path, model: str, message: str) -> None:
    result = command("chat", model, "--models-path", str(writers), stdin=b"x")

    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_that_does_other_things_is_refused_before_it_loads(command: Command, tiny: str) -> None:
    result = command("chat", tiny, stdin=b"x")

    assert result.exit_code == 1
    assert "tiny cannot chat; it can do embeddings" in result.stderr


@pytest.mark.parametrize(
    ("flag", "content", "message"),
    [
        ("--load", "{}", "is no conversation"),
        ("--load", '[{"role": "miller", "content": "x"}]', "messages[0].role is 'miller'"),
        ("--json-schema", "[1]", "is no JSON object, and so no schema"),
        ("--json-schema", '{"$ref": "#/nowhere"}', "nowhere"),
        ("--load", None, "cannot be read: No such file"),
        ("--json-schema", None, "cannot be read: No such file"),
    ],
)
def test_files_are_read_before_the_model(
    command: Command, tmp_path: Path, flag: str, content: str | None, message: str
) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_text(content)

    result = command("chat", "no-such-model", flag, str(file), stdin=b"x")

    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_makes_no_sense_is_exit_code_2(command: Command) -> None:
    assert command("chat", "m", "--temperature", "-1").exit_code == 2
    assert command("chat").exit_code == 2


def test_ctrl_c_ends_it_with_130_and_what_was_written(start: Start) -> None:
    def script(_: object) -> Answer:
        return Answer(steps=[chunk(delta={"content": "It tu"}), Stay()])

    with threaded_openai_server(script) as server:
        process = start("m", "--url", server.base_url, command="chat", stdin="x\n")
        assert process.stdout is not None
        assert process.stdout.read(5) == "It tu"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert server.asked[0].left.wait(60)

    assert (process.returncode, out, err) == (130, "\n", "")


def test_a_reader_that_leaves_ends_it_without_a_word(start: Start, writers: Path) -> None:
    process = start(str(writers / "endless.gguf"), command="chat", stdin="x\n")
    assert process.stdout is not None
    assert process.stdout.read(9) == "on and on"

    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
