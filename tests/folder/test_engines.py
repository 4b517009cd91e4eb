from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from textmill.folder.backends import Backend, find_backend
from textmill.folder.capabilities import Capability
from textmill.folder.engines import Choice, by_type, choose_engine
from textmill.folder.location import Location
from textmill.folder.weights import FOLDERS, Facts, Form

EMBEDS: tuple[Capability, ...] = ("embeddings", "tokenize")
WRITES: tuple[Capability, ...] = ("chat", "completion", "edit", "tokenize")
HERE = Location(path=Path(__file__))


def choose(
    facts: Facts | None = None, backend: str = "", can: tuple[Capability, ...] = EMBEDS, at: Location = HERE
) -> Choice:
    found = find_backend(backend) if backend else None
    return choose_engine(found if isinstance(found, Backend) else None, at, facts, can)


@pytest.mark.parametrize("form", get_args(Form))
def test_every_form_runs_here_or_says_why_not(form: Form) -> None:
    choice = choose(Facts(form))

    assert (choice.refusal is None) == (form in (*FOLDERS, "pytorch", "gguf"))
    assert choice.engine == ("gguf" if form == "gguf" else "ours" if choice.refusal is None else "elsewhere")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        *((form, "") for form in ("safetensors", "gptq", "awq", "quantised")),
        *((form, "writes text") for form in ("onnx", "static")),
        *(("pytorch", "pickles"), ("exl2", "ExLlamaV2")),
    ],
)
def test_models_that_write_run_on_transformers_where_it_knows_their_form(form: Form, words: str) -> None:
    choice = choose(Facts(form), can=WRITES)

    assert choice.engine == ("elsewhere" if form == "exl2" else "transformers")
    assert (choice.refusal is None) == (not words)
    assert words in (choice.refusal or "")


@pytest.mark.parametrize(
    ("facts", "kind", "backend", "engine", "words"),
    [
        (Facts("openvino", openvino=True), "", "", "openvino-genai", ""),
        (Facts("openvino", openvino=True), "OVModelForCausalLM", "transformers", "openvino-genai", ""),
        (Facts("openvino", openvino=True), "AutoModelForCausalLM", "transformers", "openvino-genai", ""),
        (Facts("safetensors", openvino=True), "OVModelForCausalLM", "transformers", "openvino-genai", ""),
        (Facts("safetensors", openvino=True), "", "openvino", "openvino-genai", ""),
        (Facts("safetensors", openvino=True), "", "", "transformers", ""),
        (Facts("safetensors"), "OVModelForCausalLM", "transformers", "transformers", "optimum-cli export openvino"),
        (Facts("safetensors"), "", "ov", "transformers", "optimum-cli export openvino"),
        (None, "OVModelForCausalLM", "transformers", "openvino-genai", ""),
        (None, "AutoModelForCausalLM", "transformers", "transformers", ""),
        (Facts("openvino", openvino=True), "", "sglang", "elsewhere", "SGLang"),
        (Facts("openvino", openvino=True), "", "llama", "gguf", "runs GGUF files"),
    ],
)
def test_models_that_write_in_openvinos_form_or_by_its_classes_are_openvino_genais(
    facts: Facts | None, kind: str, backend: str, engine: str, words: str
) -> None:
    found = find_backend(backend) if backend else None
    named = found if isinstance(found, Backend) else None
    at = HERE if facts is not None else Location(repo="o/n")

    choice = by_type(choose(facts, backend, WRITES, at), kind, named, facts)

    assert choice.engine == engine
    assert (choice.refusal is None) == (not words)
    assert words in (choice.refusal or "")


@pytest.mark.parametrize("backend", ["", "transformers", "vllm", "llama", "onnx", "exllama"])
def test_the_content_of_weights_comes_before_the_name_of_a_backend(backend: str) -> None:
    assert choose(Facts("gguf"), backend).engine == "gguf"
    assert choose(Facts("safetensors"), backend) == choose(Facts("safetensors"), backend, EMBEDS)
    assert choose(Facts("safetensors"), backend).refusal is None


@pytest.mark.parametrize(
    ("at", "backend", "can", "engine", "words"),
    [
        (Location(repo="o/n"), "", EMBEDS, "ours", ""),
        (Location(repo="o/n"), "sglang", EMBEDS, "ours", ""),
        (Location(repo="o/n"), "sglang", WRITES, "elsewhere", "SGLang"),
        (Location(repo="o/n"), "vllm", EMBEDS, "ours", ""),
        (Location(repo="o/n"), "vllm", WRITES, "vllm", ""),
        (Location(path=Path("/none/x")), "vllm", WRITES, "vllm", "no x in"),
        (Location(path=Path("/none/x.zip"), uri="https://h/x.zip"), "vllm", EMBEDS, "ours", ""),
        (Location(path=Path("/none/x.zip"), uri="https://h/x.zip"), "vllm", WRITES, "vllm", ""),
        (Location(repo="o/n"), "transformers", WRITES, "transformers", ""),
        (Location(repo="o/n"), "llama", EMBEDS, "gguf", "name one"),
        (Location(repo="o/n", file="x.Q4.gguf"), "", WRITES, "gguf", ""),
        (Location(path=Path("/none/gemma.gguf"), uri="ollama://gemma"), "", WRITES, "gguf", ""),
        (Location(path=Path("/none/x.zip"), uri="https://h/x.zip"), "", EMBEDS, "ours", ""),
        (Location(path=Path("/none/x.zip"), uri="https://h/x.zip"), "llama", EMBEDS, "gguf", ""),
        (Location(path=Path("/none/x.zip"), uri="https://h/x.zip"), "autogptq", WRITES, "elsewhere", "GPTQ"),
        (Location(path=Path("/none/x"), awaited=True), "", EMBEDS, "ours", ""),
        (Location(path=Path("/none/x")), "", EMBEDS, "ours", "no x in"),
        (Location(path=Path("/none/x")), "exllama", WRITES, "elsewhere", "GPTQ"),
        (Location(named="gpt"), "openai", WRITES, "remote", ""),
        (Location(named="claude"), "anthropic", WRITES, "remote", "protocol of its own"),
    ],
)
def test_weights_that_are_not_here_go_by_names(
    at: Location, backend: str, can: tuple[Capability, ...], engine: str, words: str
) -> None:
    choice = choose(None, backend, can, at)

    assert choice.engine == engine
    assert (choice.refusal is None) == (not words)
    assert words in (choice.refusal or "")
