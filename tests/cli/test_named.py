"""Commands on models of the models folder: those here, and their twins on servers elsewhere."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from click.testing import Result

import textmill
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.openai_server import Answer, Asked, threaded_openai_server
from textmill.testing.providers import limited, score_of, service, vector_of

Command = Callable[..., Result]

PAGE = Path(__file__).parents[2] / "docs/remote.md"
LINES = ["the first text", "a second one", "and a third"]
STDIN = "\n".join(LINES).encode()


def vectors(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return np.array([json.loads(line)["embedding"] for line in result.stdout.splitlines()])


def model_file(folder: Path, backend: str, url: str, more: str = "embeddings: true") -> None:
    (folder / "there.yaml").write_text(
        f"{{name: there, backend: {backend}, {more}, parameters: {{model: m}}, options: ['base_url:{url}']}}"
    )


def test_one_yaml_has_a_local_model_and_its_remote_twin(command: Command, tmp_path: Path) -> None:
    tiny_bert(tmp_path / "all-MiniLM-L6-v2")
    text = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]
    with textmill.load(str(tmp_path / "all-MiniLM-L6-v2")) as model:

        def script(asked: Asked) -> Answer:
            assert asked.body["model"] == "sentence-transformers/all-MiniLM-L6-v2"
            made = model.embed(asked.body["input"])
            return Answer(body={"data": [{"embedding": each.tolist()} for each in made]})

        with threaded_openai_server(script) as server:
            (tmp_path / "twins.yaml").write_text(text.replace("http://10.0.0.7:8080/v1", server.base_url))
            here, there = (
                vectors(command("embed", name, "--models-path", str(tmp_path), stdin=STDIN))
                for name in ("minilm", "minilm-there")
            )
    assert here.shape == there.shape
    assert np.allclose(here, there, atol=1e-5)


def test_the_side_of_a_search_goes_to_the_service(command: Command, tmp_path: Path) -> None:
    with threaded_openai_server(service("cohere")) as server:
        model_file(tmp_path, "cohere", server.base_url)
        for flags, role in (
            ([], "search_document"),
            (["--kind", "query"], "search_query"),
            (["--prompt-name", "clustering"], "clustering"),
        ):
            made = vectors(command("embed", "there", "--models-path", str(tmp_path), *flags, stdin=STDIN))
            assert np.allclose(made, [vector_of(line, role) for line in LINES], atol=1e-6)


def test_vectors_of_a_service_stay_as_they_come_unless_something_scales_them(command: Command, tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return Answer(body={"data": [{"embedding": [3.0, 4.0]} for _ in asked.body["input"]]})

    with threaded_openai_server(script) as server:
        for stated, flags, first, normalized in (
            ("", [], 3.0, None),
            ("", ["--normalize"], 0.6, "true"),
            ("", ["--no-normalize"], 3.0, "false"),
            ("", ["--dimensions", "1"], 1.0, "true"),
            (", 'embd_normalize:2'", [], 0.6, None),
            (", 'embd_normalize:1'", [], 3 / 7, "false"),
            (", 'embd_normalize:1'", ["--normalize"], 0.6, "true"),
        ):
            (tmp_path / "there.yaml").write_text(
                "{name: there, backend: remote, embeddings: true, parameters: {model: m}, "
                f"options: ['base_url:{server.base_url}'{stated}]}}"
            )
            arguments = ["--models-path", str(tmp_path), *flags]
            made = vectors(command("embed", "there", *arguments, stdin=STDIN))
            assert np.allclose(made[:, 0], first, atol=1e-6)
            out = tmp_path / "out"
            command("embed", "there", *arguments, "--format", "safetensors", "-o", str(out), stdin=STDIN)
            with safetensors.safe_open(out, "numpy") as opened:
                assert opened.metadata().get("normalized") == normalized


def test_many_windows_go_over_connections_that_are_kept(command: Command, tmp_path: Path) -> None:
    with threaded_openai_server(service("openai")) as server:
        model_file(tmp_path, "openai", server.base_url)
        lines = [f"line {number}" for number in range(6000)]
        result = command("embed", "there", "--models-path", str(tmp_path), stdin="\n".join(lines).encode())
        made = vectors(result)
        assert np.allclose(made[::500], [vector_of(line, "m") for line in lines[::500]], atol=1e-6)
        assert server.connections <= 1 + 4


def test_a_service_that_is_limited_is_one_line_and_exit_code_1(command: Command, tmp_path: Path) -> None:
    own, refusing = service("cohere"), False

    def script(asked: Asked) -> Answer:
        return limited(Retry_After="600") if refusing else own(asked)

    with threaded_openai_server(script) as server:
        model_file(tmp_path, "cohere", server.base_url)
        refusing = True
        result = command("embed", "there", "--models-path", str(tmp_path), stdin=STDIN)
    assert result.exit_code == 1
    assert "cohere at 127.0.0.1" in result.stderr
    assert "too much to do: slow down" in result.stderr
    assert "Traceback" not in result.output


def test_lines_are_ranked_by_a_service(command: Command, tmp_path: Path) -> None:
    with threaded_openai_server(service("voyage")) as server:
        model_file(tmp_path, "voyage", server.base_url, "reranking: true")
        result = command("rerank", "there", "q", "--top", "2", "--models-path", str(tmp_path), stdin=STDIN)
    best = sorted(LINES, key=lambda line: -score_of("q", line))[:2]
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == best


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "{name: there, backend: palm, parameters: {model: m}}",
            "Google has switched PaLM off; its successor is Gemini",
        ),
        ("{name: there, backend: sagemaker, parameters: {model: m}}", "take backend: remote"),
        ("{name: there, backend: cohere, disabled: true, parameters: {model: m}}", "its file says disabled"),
        ("{name: there, backend: cohere, embeddings: true, parameters: {model: m}}", "COHERE_API_KEY is not set"),
        ("{name: there, backend: tei, parameters: {model: m}}", "backend tei needs the option base_url"),
        ("{name: there, backend: azure, embeddings: true, parameters: {model: m}}", "AZURE_OPENAI_ENDPOINT is not set"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(
    command: Command, tmp_path: Path, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COHERE_API_KEY", "CO_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "there.yaml").write_text(text)
    result = command("embed", "there", "--models-path", str(tmp_path), stdin=STDIN)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_what_a_file_says_and_no_backend_knows_is_told(command: Command, tmp_path: Path) -> None:
    with threaded_openai_server(service("remote")) as server:
        (tmp_path / "there.yaml").write_text(
            "{name: there, backend: remote, embeddings: true, parameters: {model: m}, "
            f"options: ['base_url:{server.base_url}', 'retry:3']}}"
        )
        result = command("embed", "there", "--models-path", str(tmp_path), stdin=STDIN)
    assert len(vectors(result)) == len(LINES)
    assert "no backend has an option 'retry'; did you mean retries?" in result.stderr


def test_flags_that_mean_nothing_to_a_server_elsewhere_are_told(command: Command, tmp_path: Path) -> None:
    with threaded_openai_server(service("remote")) as server:
        model_file(tmp_path, "remote", server.base_url)
        arguments = ["--models-path", str(tmp_path), "--dtype", "int8", "--cache-memory", "5", "--offline"]
        result = command("embed", "there", *arguments, stdin=STDIN)
    assert len(vectors(result)) == len(LINES)
    told = [line.partition(" has no effect on there, whose engine is remote")[0] for line in result.stderr.splitlines()]
    assert [line.rpartition(" ")[2] for line in told] == ["--dtype", "--cache-memory"]


def test_another_model_than_expected_is_refused_wherever_it_runs_and_by_any_of_its_names(
    command: Command, tmp_path: Path
) -> None:
    with threaded_openai_server(service("remote")) as server:

        def told(*flags: str, more: str = "") -> tuple[int, str]:
            (tmp_path / "there.yaml").write_text(
                "- {name: there, backend: remote, embeddings: true, parameters: {model: m}, "
                f"options: ['base_url:{server.base_url}']{more}}}\n- {{name: nick, alias: there}}\n"
            )
            result = command("embed", "nick", "--models-path", str(tmp_path), *flags, stdin=STDIN)
            return result.exit_code, result.stderr

        for flags in (["f00d"], ["there=f00d"], ["nick=f00d"], ["other=bad", "nick=f00d"]):
            code, errors = told(*(word for each in flags for word in ("--expect-fingerprint", each)))
            assert code == 1
            assert "and f00d is expected" in errors
        code, errors = told(more=", textmill: {expect_fingerprint: [f00d]}")
        assert code == 1
        assert "and f00d is expected" in errors
        code, errors = told("--expect-fingerprint", "other=f00d")
        assert code == 0
        assert "no --expect-fingerprint is about there" in errors
        code, errors = told(more=", textmill: {default_prompt: 'query: '}")
        assert code == 0
        assert "textmill.default_prompt: it has no effect on a model of engine remote" in errors


def test_flags_come_before_what_the_file_says(command: Command, tmp_path: Path) -> None:
    tiny_bert(tmp_path / "tiny")
    (tmp_path / "here.yaml").write_text(
        "{name: here, backend: sentencetransformers, context_size: 4, embeddings: true, parameters: {model: tiny}}"
    )
    line = b"word word word"
    cut = command("embed", "here", "--models-path", str(tmp_path), stdin=line)
    whole = command("embed", "here", "--max-input-length", "32", "--models-path", str(tmp_path), stdin=line)
    assert "1 texts had more than 4 tokens and were cut" in cut.stderr
    assert "were cut" not in whole.stderr
    assert not np.allclose(vectors(cut), vectors(whole))


def test_an_object_of_python_needs_its_module_allowed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mill_named.py").write_text(
        "class Sized:\n    def embed(self, texts):\n        return [[len(text), 0] for text in texts]\n"
        "    def rerank(self, query, texts):\n        return [len(text) for text in texts]\n"
    )
    (tmp_path / "own.yaml").write_text("{name: own, backend: python, parameters: {model: 'mill_named:Sized'}}")
    place = ("--models-path", str(tmp_path))
    refused = command("embed", "own", *place, stdin=STDIN)
    assert refused.exit_code == 1
    assert "which this server may not; start it with --python-models mill_named" in refused.stderr
    assert "mill_named" not in sys.modules
    allowed = (*place, "--python-models", "mill_named")
    assert vectors(command("embed", "own", *allowed, stdin=STDIN)).tolist() == [[1.0, 0.0]] * len(LINES)
    ranked = command("rerank", "own", "q", "--top", "1", *allowed, stdin=STDIN)
    assert json.loads(ranked.stdout)["text"] == max(LINES, key=len)
