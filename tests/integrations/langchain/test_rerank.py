"""TextmillRerank keeps the most relevant documents, as a cross-encoder scores them."""

from __future__ import annotations

import asyncio
import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_textmill import TextmillRerank
from pydantic import ValidationError
from sentence_transformers import CrossEncoder
from tests.integrations.langchain.conftest import Opened

from textmill.errors import ConfigInvalid
from textmill.testing.openai_server import Answer, threaded_openai_server

DOCUMENTS = [
    Document("hello world", id="1", metadata={"page": 1}),
    Document("what is love", id="2"),
    Document("the small river stone, and water.", id="3"),
    Document("", id="4"),
]


def test_documents_come_in_the_order_of_the_cross_encoders_scores(
    reranker: str, tmp_path: Path, opened: Opened
) -> None:
    reference, folder = CrossEncoder(reranker, device="cpu"), str(tmp_path / "saved")
    reference.save_pretrained(folder)  # with the files of a tokenizer that transformers reads as we do
    ours = opened(TextmillRerank, model_name=folder, top_n=None)
    scores = reference.predict([("river", each.page_content) for each in DOCUMENTS])

    kept = ours.compress_documents(DOCUMENTS, "river")

    order = np.argsort(-scores, kind="stable")
    assert [each.id for each in kept] == [DOCUMENTS[index].id for index in order]
    got = [each.metadata["relevance_score"] for each in kept]
    np.testing.assert_allclose(got, scores[order], rtol=0, atol=1e-5)
    assert next(each for each in kept if each.id == "1").metadata["page"] == 1
    assert "relevance_score" not in DOCUMENTS[0].metadata
    assert asyncio.run(ours.acompress_documents(DOCUMENTS, "river")) == kept


def test_scores_may_be_the_models_own(reranker: str, opened: Opened) -> None:
    usual, ours = opened(TextmillRerank, model=reranker), opened(TextmillRerank, model=reranker, scoring="raw")
    between, raw = (
        np.array([each.metadata["relevance_score"] for each in ranker.compress_documents(DOCUMENTS, "river")])
        for ranker in (usual, ours)
    )
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)), between, rtol=0, atol=1e-6)
    assert not np.allclose(raw, between)
    assert asyncio.run(ours.acompress_documents(DOCUMENTS, "river")) == ours.compress_documents(DOCUMENTS, "river")


def test_as_many_are_kept_as_are_wanted(reranker: str, opened: Opened) -> None:
    assert len(opened(TextmillRerank, model=reranker).compress_documents(DOCUMENTS, "river")) == 3
    one = opened(TextmillRerank, model=reranker, top_n=1, scoring="raw")
    assert len(one.compress_documents(DOCUMENTS, "river")) == 1
    assert one.compress_documents([], "river") == []


def test_a_model_that_does_not_rank_is_refused_at_once(plain: str) -> None:
    with pytest.raises(ConfigInvalid, match="task is 'rerank'"):
        TextmillRerank(model=plain)


def test_it_is_pickled_and_copied_by_its_fields(reranker: str, opened: Opened) -> None:
    ours = opened(TextmillRerank, model=reranker, top_n=1)
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):  # noqa: S301 - ours
        with other:
            assert other.compress_documents(DOCUMENTS, "river") == ours.compress_documents(DOCUMENTS, "river")


def test_a_server_ranks_too() -> None:
    ranked = {"results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}
    with (
        threaded_openai_server(lambda _: Answer(body=ranked)) as server,
        TextmillRerank(url=server.base_url, model="r", top_n=2, api_key="k") as there,
    ):
        kept = there.compress_documents(DOCUMENTS, "river")
        assert asyncio.run(there.acompress_documents(DOCUMENTS, "river")) == kept

    assert [(each.id, each.metadata["relevance_score"]) for each in kept] == [("3", 0.9), ("1", 0.1)]
    texts = [each.page_content for each in DOCUMENTS]
    asked = {"query": "river", "documents": texts, "top_n": 2, "model": "r", "return_documents": False}
    assert server.bodies == [asked, asked]


def test_what_is_for_this_process_is_refused_with_a_server() -> None:
    with pytest.raises(ValidationError, match="url names a server"):
        TextmillRerank(url="http://localhost", model_kwargs={"threads": 1})
    with pytest.raises(ValidationError, match="scoring is 'raw'"):
        TextmillRerank(url="http://localhost", scoring="raw")
    with pytest.raises(ValidationError, match="top_n"):
        TextmillRerank(url="http://localhost", top_n=0)
