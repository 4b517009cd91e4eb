from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textmill.folder.backends import Backend, find_backend
from textmill.folder.capabilities import capabilities
from textmill.folder.fields import Fields
from textmill.folder.gguf import GgufFacts
from textmill.folder.parameters import Parameters
from textmill.folder.weights import Facts, look
from textmill.store.load import load
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3
from textmill.testing.heads import tiny_classifier, tiny_reranker, tiny_splade

WRITES = {"chat", "completion", "edit"}


def can(facts: Facts | None = None, name: str = "x", backend: str = "", **fields: object) -> set[str]:
    found = find_backend(backend) if backend else None
    made = capabilities(Fields(**fields), found if isinstance(found, Backend) else None, facts, name)  # type: ignore[arg-type]
    assert ("tokenize" in made) == bool(set(made) - {"tokenize"})
    return {each for each in made if each != "tokenize"}


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (Facts("safetensors", "bert", "BertModel"), {"embeddings"}),
        (Facts("safetensors", "llama", "LlamaForCausalLM"), WRITES),
        (Facts("safetensors", "qwen3", "Qwen3ForCausalLM", modules=("Transformer", "Pooling")), {"embeddings"}),
        (Facts("safetensors", "bert", "BertForSequenceClassification", labels=1), {"rerank", "classify"}),
        (Facts("safetensors", "bert", "BertForSequenceClassification", labels=3), {"classify"}),
        (Facts("safetensors", "bert", "BertForTokenClassification", labels=3), {"token_classify"}),
        (Facts("safetensors", "new", "NewForTokenClassification"), {"embeddings"}),
        (Facts("safetensors", "bert", "BertForQuestionAnswering"), set()),
        (Facts("safetensors", "bert", "HF_ColBERT"), {"multivector", "rerank"}),
        (Facts("safetensors", modules=("Transformer", "Dense"), kind="ColBERT"), {"multivector", "rerank"}),
        (Facts("safetensors", modules=("MLMTransformer", "SpladePooling")), {"sparse"}),
        (Facts("safetensors", modules=("Transformer", "LogitScore"), kind="CrossEncoder"), {"rerank"}),
        (
            Facts("safetensors", trained_as="XLMRobertaModel", modules=("Transformer", "Pooling"), hybrid=True),
            {"embeddings", "sparse", "multivector", "rerank"},
        ),
        (Facts("safetensors", "t5", "T5EncoderModel"), {"embeddings"}),
        (Facts("ggml"), set()),
    ],
)
def test_what_folders_are_for(facts: Facts, wanted: set[str]) -> None:
    assert can(facts) == wanted


def test_a_language_model_that_is_called_a_reranker_ranks() -> None:
    assert can(Facts("safetensors", "qwen3", "Qwen3ForCausalLM"), "Qwen3-Reranker-0.6B") == {"rerank"}


@pytest.mark.parametrize(
    ("gguf", "wanted"),
    [
        (GgufFacts("bert"), {"embeddings"}),
        (GgufFacts("nomic-bert-moe"), {"embeddings"}),
        (GgufFacts("jina-bert-v2", pooling="mean"), {"embeddings"}),
        (GgufFacts("qwen3", pooling="last"), {"embeddings"}),
        (GgufFacts("qwen3", pooling="rank"), {"rerank"}),
        (GgufFacts("llama", chat_template=True), WRITES),
        (GgufFacts("rwkv7"), WRITES),
        (GgufFacts("clip"), set()),
        (GgufFacts("mllama", type="mmproj"), set()),
    ],
)
def test_what_gguf_files_are_for(gguf: GgufFacts, wanted: set[str]) -> None:
    assert can(Facts("gguf", gguf.architecture, gguf=gguf)) == wanted


def test_what_a_file_says_comes_before_what_its_weights_say() -> None:
    writer = Facts("safetensors", "llama", "LlamaForCausalLM")

    assert can(writer, embeddings=True) == {"embeddings"}
    assert can(writer, reranking=True) == {"rerank"}
    assert can(writer, parameters=Parameters(pooling="rank")) == {"rerank"}
    assert can(writer, known_usecases=("FLAG_CHAT", "vision")) == {"chat"}
    assert can(writer, known_usecases=("llm",), embeddings=True) == WRITES | {"embeddings"}
    assert can(writer, type="OVModelForFeatureExtraction") == {"embeddings"}
    assert can(Facts("safetensors", "bert", "BertModel"), type="AutoModelForTokenClassification") == {"token_classify"}


def test_embeddings_of_a_sparse_model_are_sparse() -> None:
    assert can(Facts("safetensors", modules=("MLMTransformer", "SpladePooling")), embeddings=True) == {"sparse"}


@pytest.mark.parametrize(
    ("backend", "name", "wanted"),
    [
        ("sentencetransformers", "sentence-transformers/all-MiniLM-L6-v2", {"embeddings"}),
        ("bert-embeddings", "bert", {"embeddings"}),
        ("rerankers", "owner/name", {"rerank"}),
        ("transformers", "owner/name", {"embeddings"}),
        ("vllm", "facebook/opt-125m", WRITES),
        ("llama", "x.gguf", WRITES),
        ("mamba", "owner/name", WRITES),
        ("", "BAAI/bge-reranker-base", {"rerank"}),
        ("", "owner/name", {"embeddings"}),
        ("", "owner/name x.Q4_K_M.gguf", WRITES),
    ],
)
def test_weights_that_are_not_here_go_by_names(backend: str, name: str, wanted: set[str]) -> None:
    assert can(None, name, backend) == wanted


TASKS = {"embeddings": "embed", "sparse": "embed_sparse", "rerank": "rerank", "classify": "classify"}


@pytest.mark.parametrize("make", [tiny_bert, tiny_qwen3, tiny_splade, tiny_classifier, tiny_reranker])
def test_a_loaded_model_does_what_was_guessed(make: Callable[[Path], Path], tmp_path: Path) -> None:
    guessed = {TASKS[each] for each in can(look(make(tmp_path / "m")))}

    with load(str(tmp_path / "m"), dtype="float32", threads=1) as model:
        assert set(model.info.tasks) & set(TASKS.values()) == guessed
