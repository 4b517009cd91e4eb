from __future__ import annotations

import re

import pytest

from textmill.folder.backends import NAMES, Backend, Unknown, find_backend, missing


def engine(name: str) -> str:
    found = find_backend(name)
    assert isinstance(found, Backend), name
    return found.engine


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(
            (name, "gguf")
            for name in ("llama", "llama-cpp", "llama-ggml", "go-llama", "llama-stable", "rwkv", "ik-llama")
        ),
        *((name, "ours") for name in ("bert", "bert-embeddings", "sentencetransformers", "huggingface-embeddings")),
        *((name, "ours") for name in ("transformers", "rerankers", "onnx", "openvino", "mamba")),
        *((name, "elsewhere") for name in ("exllama", "exllama2", "autogptq", "sglang", "mlx", "gpt4all", "petals")),
        *((name, "elsewhere") for name in ("whisper", "stablediffusion")),
        *((name, "remote") for name in ("openai", "cohere", "jina", "tei", "langchain-huggingface")),
        ("vllm", "vllm"),
    ],
)
def test_every_name_of_old_means_an_engine(name: str, wanted: str) -> None:
    assert engine(name) == wanted


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("build", ["{}", "cpu-{}", "cuda12-{}", "{}-development", "{}-cpu", "nvidia-l4t-cuda-12-{}"])
def test_builds_of_a_backend_are_that_backend(name: str, build: str) -> None:
    assert find_backend(build.format(name).upper()) == find_backend(name)


@pytest.mark.parametrize(
    "name", ["llama-avx2", "llama-cpp-fallback", "intel-sycl-f16-transformers", "rocm-vllm-development"]
)
def test_builds_with_several_words(name: str) -> None:
    assert isinstance(find_backend(name), Backend)


def test_what_a_name_says_about_its_models() -> None:
    bert, sentence, reranks = (find_backend(name) for name in ("bert", "sentencetransformers", "rerankers"))

    assert isinstance(bert, Backend)
    assert isinstance(sentence, Backend)
    assert isinstance(reranks, Backend)
    assert (bert.task, sentence.type, reranks.task) == ("embed", "SentenceTransformer", "rerank")


def test_an_unknown_name_comes_with_the_nearest() -> None:
    assert find_backend("sentencetransformer") == Unknown("sentencetransformer", "sentencetransformers")
    assert find_backend("zzz") == Unknown("zzz", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_that_does_not_run_here_says_what_to_do(name: str) -> None:
    backend = find_backend(name)
    assert isinstance(backend, Backend)
    why = missing(backend)

    runs = backend.engine in ("ours", "gguf", "vllm", "python") or (backend.engine == "remote" and not backend.instead)
    assert (why is None) == runs
    assert why is None or re.search("needs|take|serves text|backend: remote", why)
