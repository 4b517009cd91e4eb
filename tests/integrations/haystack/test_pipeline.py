"""The ranker ranks as a cross-encoder scores, and the components work in pipelines that are written down and read again."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253 - users give its precisions
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.textmill import TextmillDocumentEmbedder, TextmillTextEmbedder
from haystack_integrations.components.rankers.textmill import TextmillRanker
from sentence_transformers import CrossEncoder
from tests.integrations.haystack.conftest import Closing

from textmill.testing.openai_server import Answer, threaded_openai_server

DOCUMENTS = [Document(content=text, id=text or "-") for text in ("hello world", "what is love", "the river stone", "")]


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haystack.telemetry._telemetry.telemetry", None)


def test_documents_come_in_the_order_of_the_cross_encoders_scores(reranker: str, opened: Closing) -> None:
    ranker = opened(TextmillRanker, model=reranker, query_prefix="q ", document_suffix=" .")
    pairs = [("q river", f"{each.content} .") for each in DOCUMENTS]
    scores = CrossEncoder(reranker, device="cpu").predict(pairs)
    order = np.argsort(-scores, kind="stable")

    got = ranker.run(query="river", documents=[*DOCUMENTS, DOCUMENTS[0]])["documents"]
    assert [each.id for each in got] == [DOCUMENTS[index].id for index in order]
    np.testing.assert_allclose([each.score for each in got], scores[order], rtol=0, atol=1e-5)
    raw = ranker.run(query="river", documents=DOCUMENTS, scale_score=False)["documents"]
    np.testing.assert_allclose([1 / (1 + np.exp(-each.score)) for each in raw], scores[order], rtol=0, atol=1e-5)
    asked = {"query": "river", "documents": DOCUMENTS, "top_k": 3, "score_threshold": got[0].score}
    assert [each.id for each in asyncio.run(ranker.run_async(**asked))["documents"]] == [got[0].id]
    assert ranker.run(query="river", documents=[]) == {"documents": []}
    ranker.top_k = 2
    assert len(ranker.run(query="river", documents=DOCUMENTS)["documents"]) == 2
    assert DOCUMENTS[0].score is None


def test_of_documents_with_the_same_id_the_one_with_the_best_score_is_ranked(reranker: str, opened: Closing) -> None:
    scores = {"a": 0.1, "b": 0.9, "c": 0.5}
    given = [Document(content=text, id="same", score=score) for text, score in scores.items()]
    [found] = opened(TextmillRanker, model=reranker).run(query="q", documents=given)["documents"]
    assert found.content == "b"


def test_a_call_may_want_another_number_than_the_ranker_was_made_with(reranker: str, opened: Closing) -> None:
    ranker = opened(TextmillRanker, model=reranker, top_k=1)
    assert len(ranker.run(query="q", documents=DOCUMENTS)["documents"]) == 1
    assert len(ranker.run(query="q", documents=DOCUMENTS, top_k=3)["documents"]) == 3


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"query": "q", "documents": "text"}, TypeError),
        ({"query": 1, "documents": DOCUMENTS}, TypeError),
        ({"query": "q", "documents": DOCUMENTS, "top_k": 0}, ValueError),
    ],
)
def test_wrong_inputs_of_the_ranker_are_refused(asked: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        TextmillRanker().run(**asked)
    with pytest.raises(error):
        asyncio.run(TextmillRanker().run_async(**asked))
    with pytest.raises(ValueError, match="top_k is 0"):
        TextmillRanker(top_k=0)


def test_a_server_ranks_too() -> None:
    scores = {2: 0.9, 0: 0.1, 1: 0.02, 3: 0.01}
    ranked = {"results": [{"index": index, "relevance_score": score} for index, score in scores.items()]}
    with threaded_openai_server(lambda _: Answer(body=ranked)) as server:
        ranker = TextmillRanker(url=server.base_url, top_k=1)
        got = ranker.run(query="river", documents=DOCUMENTS)["documents"]
        ranker.close()
    assert [(each.id, each.score) for each in got] == [("the river stone", 0.9)]


def test_documents_are_found_and_ranked_in_a_pipeline(plain: str, reranker: str, opened: Closing) -> None:
    store = InMemoryDocumentStore()
    embedder = opened(TextmillDocumentEmbedder, model=plain, progress_bar=False, encode_kwargs={"prompt": ""})
    store.write_documents(embedder.run(DOCUMENTS)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", TextmillTextEmbedder(model=plain, encode_kwargs={"prompt": ""}))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=2))
    pipeline.add_component("ranker", TextmillRanker(model=reranker, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    pipeline.connect("retriever.documents", "ranker.documents")
    asked = {"embedder": {"text": "hello world"}, "ranker": {"query": "hello world"}}

    found = pipeline.run(asked, include_outputs_from={"retriever"})
    assert "hello world" in [each.content for each in found["retriever"]["documents"]]
    assert len(found["ranker"]["documents"]) == 1
    assert len(asyncio.run(pipeline.run_async(asked))["ranker"]["documents"]) == 1

    assert Pipeline.loads(pipeline.dumps()).to_dict() == pipeline.to_dict()
    pipeline.close()


def test_precisions_of_pytorch_are_written_down_as_texts(plain: str, opened: Closing) -> None:
    pipeline = Pipeline()
    pipeline.add_component("embedder", TextmillTextEmbedder(model=plain, model_kwargs={"torch_dtype": torch.float32}))
    again = Pipeline.loads(pipeline.dumps())

    written = again.to_dict()["components"]["embedder"]["init_parameters"]
    assert written["model_kwargs"] == {"torch_dtype": "torch.float32"}
    wanted = opened(TextmillTextEmbedder, model=plain).run("hello")
    assert again.run({"embedder": {"text": "hello"}})["embedder"] == wanted
    again.close()
