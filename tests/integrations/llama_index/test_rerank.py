from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.textmill import TextmillRerank

import textmill


def nodes() -> list[NodeWithScore]:
    texts = ["The mill turns.", "Water drives the wheel.", "An unrelated line about cats."]
    return [NodeWithScore(node=TextNode(text=text, metadata={"n": n}), score=0.1 * n) for n, text in enumerate(texts)]


def expected(reranker: Path) -> list[tuple[str, float]]:
    with textmill.load(str(reranker), dtype="float32") as model:
        texts = [node.node.get_content("embed") for node in nodes()]  # type: ignore[arg-type]
        return [(nodes()[each.index].text, each.score) for each in model.rerank("mill", texts, top=2)]


async def test_in_the_process_and_on_a_server_nodes_come_as_the_model_ranks_them(reranker: Path, url: str) -> None:
    best = expected(reranker)
    local = TextmillRerank(model=str(reranker), top_n=2, load_kwargs={"dtype": "float32"})
    remote = TextmillRerank(model="reranker", top_n=2, base_url=url, api_key="key")

    for ranker in (local, remote):
        found = ranker.postprocess_nodes(nodes(), QueryBundle("mill"))
        awaited = await ranker.apostprocess_nodes(nodes(), query_str="mill")
        assert [node.text for node in found] == [node.text for node in awaited] == [text for text, _ in best]
        assert [node.score for node in found] == pytest.approx([score for _, score in best], abs=1e-5)
        await ranker.aclose()


def test_the_retrievers_score_is_kept_where_that_is_asked_for(reranker: Path) -> None:
    ranker = TextmillRerank(3, str(reranker), keep_retrieval_score=True)

    found = ranker.postprocess_nodes(nodes(), query_str="mill")

    assert sorted(node.metadata["retrieval_score"] for node in found) == pytest.approx([0, 0.1, 0.2])


def test_callbacks_hear_of_it(reranker: Path) -> None:
    heard = LlamaDebugHandler(print_trace_on_end=False)
    ranker = TextmillRerank(model=str(reranker), callback_manager=CallbackManager([heard]))

    ranker.postprocess_nodes(nodes(), query_str="mill")

    [(start, end)] = heard.get_event_pairs(CBEventType.RERANKING)
    assert start.payload is not None
    assert end.payload is not None
    assert (start.payload["top_k"], len(end.payload["nodes"])) == (2, 2)


def test_instrumentation_hears_of_it(reranker: Path, heard: list[Any]) -> None:
    found = TextmillRerank(model=str(reranker)).postprocess_nodes(nodes(), query_str="mill")

    [started] = [event for event in heard if isinstance(event, ReRankStartEvent)]
    [ended] = [event for event in heard if isinstance(event, ReRankEndEvent)]
    assert (started.top_n, len(started.nodes)) == (2, 3)
    assert ended.nodes == found


def test_nothing_to_rank_is_nothing_and_no_query_an_error(reranker: Path) -> None:
    ranker = TextmillRerank(model=str(reranker))

    assert ranker.postprocess_nodes([], query_str="mill") == []
    with pytest.raises(ValueError, match="needs the query"):
        ranker.postprocess_nodes(nodes())


def test_a_dump_has_no_secret_and_what_is_unknown_is_a_warning(reranker: Path) -> None:
    with pytest.warns(UserWarning, match="no use for cross_encoder_kwargs"):
        TextmillRerank(model=str(reranker), cross_encoder_kwargs={})
    remote = TextmillRerank(base_url="http://h", api_key="sk-one", top_n=5)

    assert TextmillRerank.from_dict(remote.to_dict()).to_dict() == remote.to_dict()
    assert "sk-" not in repr((remote, remote.to_dict()))


def test_devices_and_folders_in_other_forms(reranker: Path) -> None:
    with pytest.warns(UserWarning, match="the CPU is taken"):
        ranker = TextmillRerank(2, reranker, np.dtype("float32"), trust_remote_code=None)  # type: ignore[arg-type]

    assert (ranker.model, ranker.device, ranker.trust_remote_code) == (str(reranker), "float32", False)


def test_a_name_without_its_owner_is_a_cross_encoder(
    reranker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cross-encoder").mkdir()
    (tmp_path / "cross-encoder/tiny").symlink_to(reranker)
    monkeypatch.chdir(tmp_path)

    assert len(TextmillRerank(model="tiny").postprocess_nodes(nodes(), query_str="mill")) == 2


def test_a_model_that_cannot_rank_says_so(tiny: Path) -> None:
    with pytest.raises(textmill.WrongTask, match="rerank"):
        TextmillRerank(model=str(tiny)).postprocess_nodes(nodes(), query_str="mill")
