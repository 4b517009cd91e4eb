"""Servers elsewhere as model files describe them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid
from textmill.folder.backends import Backend, find_backend, missing
from textmill.folder.remote import Remote, Role
from textmill.folder.remote_options import remote_of
from textmill.folder.remote_presets import PRESETS
from textmill.folder.scan import scan

PAGE = Path(__file__).parents[2] / "docs/remote.md"
URL = "http://127.0.0.1:8000/v1"


def test_a_backend_has_its_usual_server() -> None:
    openai = remote_of("openai", {})
    assert (openai.base_url, openai.kind, openai.key_variables) == (
        "https://api.openai.com/v1",
        "openai",
        ("OPENAI_API_KEY",),
    )
    assert remote_of("ollama", {}).key_variables == ()
    assert remote_of("remote", {"base_url": f"{URL}/"}) == Remote(base_url=URL)


def test_a_usual_key_goes_to_its_usual_server_only() -> None:
    assert remote_of("openai", {"base_url": "https://elsewhere/v1"}).key_variables == ()
    named = remote_of("openai", {"base_url": "https://elsewhere/v1", "api_key_env": "MINE_API_KEY"})
    assert named.key_variables == ("MINE_API_KEY",)
    assert remote_of("openai", {"base_url": "https://api.openai.com/v1/"}).key_variables == ("OPENAI_API_KEY",)


def test_options_change_it() -> None:
    options = {
        "base_url": URL, "server": "VLLM", "timeout": "5", "connect_timeout": "0.5", "retries": "0", "retry_seconds": "1",
        "inputs_per_request": "8", "api_key_header": "api-key",
    }  # fmt: skip
    assert remote_of("remote", options) == Remote(
        base_url=URL, kind="vllm", timeout_s=5, connect_s=0.5, retries=0, retry_s=1, inputs_per_request=8, key_header="api-key",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "needs the option base_url"),
        ({"base_url": "ftp://x"}, "URL of http"),
        ({"base_url": "http://user:secret@x/v1"}, "api_key_env"),
        ({"base_url": "http://x/v1?key=secret"}, "query"),
        ({"base_url": "http://x:99999/v1"}, "URL"),
        ({"base_url": "http://x/\u00e9"}, "URL"),
        ({"base_url": "http://x/a b"}, "URL"),
        ({"base_url": URL, "server": "vlm"}, "did you mean vllm"),
        ({"base_url": URL, "timeout": "0"}, "from 1 to"),
        ({"base_url": URL, "timeout": "soon"}, "a number"),
        ({"base_url": URL, "timeout": "nan"}, "a number"),
        ({"base_url": URL, "retries": "1.5"}, "whole number from 0 to 10"),
        ({"base_url": URL, "api_key_header": "a b"}, "name of a header"),
        ({"base_url": URL, "api_key_header": "Host"}, "cannot be Host, which the protocol itself needs"),
        *(
            ({"base_url": URL, "api_key_env": name}, "must name a variable")
            for name in ("API_KEY", "TEXTMILL_API_KEY", "LOCALAI_API_KEY", "PATH", "AWS_SECRET_ACCESS_KEY", "sk-123")
        ),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says) as raised:
        remote_of("remote", options)
    assert "secret" not in str(raised.value)


def test_a_model_file_with_a_bad_server_is_a_problem_at_its_options(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: m\nbackend: remote\nparameters: {model: x}\noptions: ['retries:99', 'base_url:http://x/v1']\n"
    )
    folder = scan(tmp_path)
    assert folder.files == ()
    [problem] = folder.problems
    assert (problem.line, problem.key) == (4, "options")


@pytest.mark.parametrize("backend", ["remote", "openai-compatible", "openai", "mistral", "ollama", "hf-inference"])
def test_models_on_servers_elsewhere_can_be_served(backend: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"{{name: m, backend: {backend}, parameters: {{model: there}}, options: ['base_url:{URL}']}}"
    )
    [model] = scan(tmp_path).files
    assert (model.engine, model.refusal, model.model) == ("remote", None, "there")
    assert model.capabilities == ("chat", "completion", "edit", "tokenize")


def test_a_service_whose_protocol_is_not_spoken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{name: m, backend: anthropic, parameters: {model: there}}")
    [model] = scan(tmp_path).files
    assert "backend: remote" in str(model.refusal)


def test_the_examples_of_the_page_are_taken(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block)
    folder = scan(tmp_path)
    assert [problem for problem in folder.problems if problem.key != "parameters.model"] == []
    e5 = folder.by_name["e5-there"]
    roles = remote_of(e5.backend, e5.backend_options).roles
    assert roles == {"query": Role(prompt="query: "), "document": Role(prompt="passage: ")}


def test_the_page_has_every_service() -> None:
    text = PAGE.read_text()
    assert [name for name in PRESETS if f"`{name}`" not in text] == []


@pytest.mark.parametrize("backend", sorted(PRESETS))
def test_every_service_is_a_backend_whose_models_can_be_served(backend: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"{{name: m, backend: {backend}, embeddings: true, parameters: {{model: there}}, options: ['base_url:{URL}']}}"
    )
    [model] = scan(tmp_path).files
    assert (model.engine, model.refusal, model.capabilities) == ("remote", None, ("embeddings", "tokenize"))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("voyage-3.5", "embeddings"),
        ("rerank-2.5", "rerank"),
        ("jina-clip-v2", "embeddings"),
        ("jina-reranker-v3", "rerank"),
    ],
)
def test_models_of_services_that_only_embed_and_rank_do_so(name: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{{name: m, backend: voyage, parameters: {{model: {name}}}}}")
    assert scan(tmp_path).files[0].capabilities[0] == wanted


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("palm", "Gemini"),
        ("google-palm", "Gemini"),
        ("gradient", "together"),
        ("anyscale", "fireworks"),
        ("llmrails", "not known to answer"),
        ("sagemaker", "POST /invocations"),
    ],
)
def test_what_is_gone_or_needs_another_way_is_named(backend: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{{name: m, backend: {backend}, embeddings: true, parameters: {{model: x/y}}}}")
    assert says in str(scan(tmp_path).files[0].refusal)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"role_query": "q"}, "role_query needs the field that it goes in: add role_field:NAME"),
        ({"role_default": "query", "prompt_document": "d"}, "role_default is query, and the roles are document"),
        ({"prompt_query": '"query: '}, "no text in JSON's quotes"),
        ({"prompt_a b": "x"}, "must have the name of a role"),
        ({"role_field": "a b"}, "the name of a field"),
        ({"requests_at_once": "0"}, "from 1 to 256"),
        ({"base64": "yes"}, "true or false"),
        ({"api_version": "x&y"}, "a version such as"),
    ],
)
def test_roles_and_limits_that_cannot_be_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        remote_of("remote", {"base_url": URL, **options})


def test_roles_of_a_service_may_be_changed_and_switched_off() -> None:
    changed = remote_of("voyage", {"role_query": "none of these", "suffix_document": "-d"})
    assert changed.roles == {"query": Role(value="none of these"), "document": Role(value="document", suffix="-d")}
    off = remote_of("cohere", {"role_field": "none"})
    assert (off.roles, off.role_field, off.role_default) == ({}, "", "")


@pytest.mark.parametrize(
    ("backend", "says"),
    [("fastembed", "backend: onnx"), ("langchain", "the model inside"), ("custom", "backend: remote")],
)
def test_libraries_are_named_and_models_of_the_hub_run_here_all_the_same(
    backend: str, says: str, tmp_path: Path
) -> None:
    found = find_backend(backend)
    assert isinstance(found, Backend)
    assert says in str(missing(found))
    (tmp_path / "a.yaml").write_text(f"{{name: m, backend: {backend}, embeddings: true, parameters: {{model: x/y}}}}")
    assert scan(tmp_path).files[0].engine == "ours"
