"""The programs of LlamaIndex's page about embeddings, with one import changed.

Their models lie here by the names that the page has for them. What the page itself has wrong is noted where it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_textmill import TextmillEmbeddings as HuggingFaceBgeEmbeddings
from llama_index.core import MockEmbedding, Settings, SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.embeddings.langchain import LangchainEmbedding
from llama_index.embeddings.textmill import TextmillEmbedding as HuggingFaceEmbedding

import textmill
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.graphs import constant_graph

pytestmark = pytest.mark.usefixtures("hub_names")

CONSTANT = [float(value) for value in range(32)]
QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]


def test_the_global_default_and_a_model_for_one_index() -> None:
    documents = SimpleDirectoryReader("./data").load_data()
    embed_model = HuggingFaceEmbedding(device="cpu")
    Settings.embed_model = MockEmbedding(embed_dim=8)

    embedding = HuggingFaceEmbedding(device="cpu").get_text_embedding("hello world")
    # Of LlamaIndex's own classes none has this method, which the page calls.
    embeddings = HuggingFaceEmbedding(device="cpu").get_text_embeddings(["hello world", "hello world"])
    index = VectorStoreIndex.from_documents(documents, embed_model=embed_model)

    assert embeddings == [embedding, embedding]
    assert index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0].node.metadata["file_name"] == "mars.txt"


def test_a_local_model_as_the_global_default_answers_a_query() -> None:
    Settings.embed_model = HuggingFaceEmbedding(model_name="BAAI/bge-small-en-v1.5", device="cpu")
    Settings.llm = MockLLM()  # a language model is not what the page is about

    documents = SimpleDirectoryReader("./data").load_data()
    index = VectorStoreIndex.from_documents(documents)
    query_engine = index.as_query_engine(similarity_top_k=1)
    response = query_engine.query(QUERY)

    assert [node.metadata["file_name"] for node in response.source_nodes] == ["mars.txt"]
    assert "Red Planet" in str(response)


def test_a_batch_size() -> None:
    embed_model = HuggingFaceEmbedding(device="cpu", embed_batch_size=42)

    assert embed_model.embed_batch_size == 42
    assert len(embed_model.get_text_embedding_batch(["text"] * 100)) == 100


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_backend(backend: str) -> None:
    Settings.embed_model = HuggingFaceEmbedding(model_name="BAAI/bge-small-en-v1.5", device="cpu", backend=backend)

    assert len(Settings.embed_model.get_text_embedding("text")) == 384


def test_a_quantised_file_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    quantized_model = HuggingFaceEmbedding(
        model_name="sentence-transformers/all-mpnet-base-v2",
        backend="openvino",
        device="cpu",
        model_kwargs={"file_name": "openvino/openvino_model_qint8_quantized.xml", "dtype": "float32"},
    )
    Settings.embed_model = quantized_model

    assert "openvino_model_qint8_quantized.xml" in caplog.text
    assert len(quantized_model.get_text_embedding("text")) == 32


@pytest.mark.parametrize(
    ("backend", "file"),
    [
        ("openvino", "openvino/openvino_model_qint8_quantized.xml"),
        ("openvino", "openvino_model_qint8_quantized.xml"),
        ("onnx", "model_qint8_avx512_vnni.onnx"),
    ],
)
def test_a_quantised_file_that_is_there_is_what_runs(
    backend: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_bert(tmp_path / "BAAI/bge-small-en-v1.5", modules=())
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    constant_graph(folder / backend / file.rpartition("/")[2], CONSTANT, vocabulary)
    monkeypatch.chdir(tmp_path)

    Settings.embed_model = HuggingFaceEmbedding(
        model_name="BAAI/bge-small-en-v1.5",
        backend=backend,
        revision="refs/pr/16",
        normalize=False,
        model_kwargs={"file_name": file},
    )

    assert Settings.embed_model.get_text_embedding("any text") == pytest.approx(CONSTANT, abs=1e-5)


def test_the_benchmark() -> None:
    model = HuggingFaceEmbedding(model_name="BAAI/bge-small-en-v1.5", device="cpu")
    model.get_agg_embedding_from_queries([QUERY] * 32)

    query_embedding = model.get_query_embedding(QUERY)
    doc_embeddings = model.get_text_embedding_batch(DOCUMENTS)
    similarity = model._model.similarity(query_embedding, doc_embeddings)

    assert similarity.shape == (1, 4)
    assert np.argmax(similarity) == 0


def test_a_precision_that_the_cpu_lacks_is_not_an_error() -> None:
    Settings.embed_model = HuggingFaceEmbedding(
        model_name="sentence-transformers/all-mpnet-base-v2", device="cpu", model_kwargs={"torch_dtype": "float16"}
    )

    assert len(Settings.embed_model.get_text_embedding("text")) == 32


def test_a_cuda_device_that_is_not_there_is_an_error_with_its_name() -> None:
    with pytest.raises(textmill.ConfigInvalid, match="cuda"):
        HuggingFaceEmbedding(
            model_name="sentence-transformers/all-mpnet-base-v2",
            device="cuda:7",
            model_kwargs={"torch_dtype": "float16"},
        )


def test_a_name_without_its_owner_is_one_of_sentence_transformers() -> None:
    model = HuggingFaceEmbedding("all-mpnet-base-v2")

    assert model.model_name == "all-mpnet-base-v2"
    assert len(model.get_text_embedding("text")) == 32
    for name in ("", "./all-mpnet-base-v2"):
        with pytest.raises(textmill.ModelNotFound, match=r"called ''|does not exist"):
            HuggingFaceEmbedding(name)


def test_a_revision() -> None:
    Settings.embed_model = HuggingFaceEmbedding(
        model_name="sentence-transformers/all-mpnet-base-v2", backend="openvino", revision="refs/pr/16"
    )

    assert len(Settings.embed_model.get_text_embedding("text")) == 32


def test_a_class_of_langchain_s() -> None:
    # The page gives the object itself. LlamaIndex 0.14 then imports what LangChain no longer has, and so takes none of LangChain's
    # own either; its wrapper, which the page installs, takes all.
    Settings.embed_model = LangchainEmbedding(
        HuggingFaceBgeEmbeddings(model_name="BAAI/bge-base-en", model_kwargs={"device": "cpu"})
    )

    index = VectorStoreIndex.from_documents(SimpleDirectoryReader("./data").load_data())

    assert Settings.embed_model.model_name == "BAAI/bge-base-en"
    assert index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0].node.metadata["file_name"] == "mars.txt"


class InstructorEmbeddings(BaseEmbedding):
    """The page's own class, with its methods where Python looks for them, and with the abstract one that it lacks."""

    def __init__(
        self,
        instructor_model_name: str = "sentence-transformers/all-mpnet-base-v2",
        instruction: str = "Represent the Computer Science documentation or question:",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._model = textmill.load(instructor_model_name)
        self._instruction = instruction

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embeddings([query])[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        made: list[list[float]] = self._model.embed(texts, prompt=self._instruction).tolist()
        return made

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def test_a_class_of_ones_own_over_the_engine() -> None:
    embed_model = InstructorEmbeddings(embed_batch_size=2)
    index = VectorStoreIndex.from_documents(SimpleDirectoryReader("./data").load_data(), embed_model=embed_model)

    assert len(index.as_retriever(similarity_top_k=2).retrieve(QUERY)) == 2
    embed_model._model.close()


class Polite(HuggingFaceEmbedding):
    """A subclass with a field, private state and a constructor."""

    greeting: str = "none"

    def __init__(self, punctuation: str = "!", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._punctuation = punctuation

    def _get_query_embedding(self, query: str) -> list[float]:
        return super()._get_query_embedding(self.greeting + self._punctuation + query)


def test_a_class_of_ones_own_over_ours(minilm: Path) -> None:
    embed_model = Polite(model_name="BAAI/bge-small-en-v1.5", device="cpu", greeting="Good morning")
    plain = HuggingFaceEmbedding(model_name=str(minilm), device="cpu")

    assert embed_model.get_query_embedding("Mars") == plain.get_query_embedding("Good morning!Mars")
    assert Polite.from_dict(embed_model.to_dict()).greeting == "Good morning"


def test_standalone() -> None:
    embeddings = HuggingFaceEmbedding("BAAI/bge-small-en-v1.5", device="cpu").get_text_embedding(
        "It is raining cats and dogs here!"
    )

    assert len(embeddings) == 384
    assert type(embeddings[0]) is float
