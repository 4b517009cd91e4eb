from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from textmill.testing.openai_server import Answer, Asked, chunk, threaded_openai_server

Command = Callable[..., Result]

pytestmark = pytest.mark.timeout(90)


def echo(asked: Asked) -> Answer:
    """The prompt twice, for each choice; "bad" is refused, "cut" ends at the limit."""
    prompt = asked.body["prompt"]
    if prompt == "bad":
        return Answer(status=400, body={"error": {"message": "too long"}})
    reason = "length" if prompt == "cut" else "stop"
    choices = range(asked.body.get("n", 1))
    steps: list[dict[str, Any]] = [chunk(index, text=f"{prompt}{number}") for number in (0, 1) for index in choices]
    steps += [chunk(index, reason, text="") for index in reversed(choices)]
    steps.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    return Answer(steps=steps)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("given", [["turn"], []])
def test_a_prompt_or_standard_input_goes_on(command: Command, writers: Path, given: list[str]) -> None:
    result = command("complete", "mill.gguf", *given, "--models-path", str(writers), "--stats", stdin=b"turn\n")

    assert (result.exit_code, result.stdout) == (0, "The mill turns.\n"), result.output
    assert "tokens/s" in result.stderr


def test_several_texts_come_one_behind_the_other(command: Command) -> None:
    with threaded_openai_server(echo) as server:
        result = command("complete", "m", "ab\n", "--n", "3", "--url", server.base_url)

    assert result.stdout == "ab\n0ab\n1\n---\nab\n0ab\n1\n---\nab\n0ab\n1\n"
    assert [body["prompt"] for body in server.bodies] == ["ab\n"]


def test_lines_become_objects_in_their_order_with_the_errors_of_some(command: Command, tmp_path: Path) -> None:
    (tmp_path / "prompts").write_text("one\nbad\ncut\n")
    with threaded_openai_server(echo) as server:
        result = command("complete", "m", "--lines", str(tmp_path / "prompts"), "--url", server.base_url)

    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    first, second, third = objects(result)
    assert first == {"index": 0, "text": "one0one1", "finish_reason": "stop", "usage": usage}
    assert (second["index"], "too long" in second["error"]) == (1, True)
    assert third == {"index": 2, "text": "cut0cut1", "finish_reason": "length", "usage": usage}
    assert result.exit_code == 1
    assert result.stderr == "textmill: error: 1 of the prompts could not be answered; their objects say why\n"


def test_lines_of_json_have_options_of_their_own(command: Command, tmp_path: Path) -> None:
    stdin = b'"one"\n\n{"prompt": "two", "id": "x", "n": 2, "max_tokens": 4, "stop": "b", "temperature": 0.5}\n'
    with threaded_openai_server(echo) as server:
        out = str(tmp_path / "out.jsonl")
        result = command(
            "complete", "m", "--jsonl", "-", "-o", out, "--url", server.base_url, "--max-tokens", "9", stdin=stdin
        )

    assert (result.exit_code, result.stdout) == (0, "")
    first, second = map(json.loads, Path(out).read_text().splitlines())
    assert (first["index"], first["text"]) == (0, "one0one1")
    assert (second["index"], second["id"]) == (1, "x")
    assert [choice["text"] for choice in second["choices"]] == ["two0two1"] * 2
    bodies = {body["prompt"]: body for body in server.bodies}
    assert bodies["one"].items() >= {"max_tokens": 9}.items()
    assert bodies["two"].items() >= {"max_tokens": 4, "n": 2, "stop": ["b"], "temperature": 0.5}.items()


def test_more_prompts_than_the_model_takes_at_once_are_all_answered(command: Command, writers: Path) -> None:
    prompts = "".join(f"turn {number}\n" for number in range(20)).encode()

    result = command("complete", str(writers / "mill.gguf"), "--lines", "-", stdin=prompts)

    assert [(each["index"], each["text"]) for each in objects(result)] == [(n, "The mill turns.") for n in range(20)]


def test_a_server_that_is_busy_is_asked_again(command: Command) -> None:
    busy = [Answer(status=429, headers={"Retry-After": "0"}, body={"error": {"message": "later"}})]
    with threaded_openai_server(lambda asked: busy.pop() if busy else echo(asked)) as server:
        result = command("complete", "m", "--lines", "-", "--url", server.base_url, stdin=b"one")

    assert (objects(result)[0]["text"], len(server.asked)) == ("one0one1", 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1]", "line 2 is no prompt as JSON"),
        (b'{"promt": "x"}', "line 2 is no prompt as JSON"),
        (b"text", "line 2 is no prompt as JSON"),
        (b'{"prompt": "x", "n": 0}', "line 2: n and max_tokens are 1 or more"),
    ],
)
def test_a_line_that_is_no_prompt_is_known_before_the_model_loads(command: Command, line: bytes, message: str) -> None:
    result = command("complete", "no-such-model", "--jsonl", "-", stdin=b'"fine"\n' + line)

    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_ends_it_at_once(command: Command) -> None:
    result = command("complete", "m", "--lines", "-", "--url", "http://127.0.0.1:1", stdin=b"one\ntwo\n")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize("given", [["x", "--lines", "-"], ["--lines", "-", "--jsonl", "-"], ["x", "-o", "file"]])
def test_what_does_not_go_together_is_exit_code_2(command: Command, given: list[str]) -> None:
    assert command("complete", "m", *given).exit_code == 2
