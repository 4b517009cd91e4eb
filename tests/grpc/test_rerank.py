from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest
from tests.grpc.conftest import Live, refusal

from textmill.contract import RerankOptions
from textmill.errors import WrongTask
from textmill.testing.served import RecordingModel

TEXTS = ["aa", "a", "bb", "ccc"]
ORDER = [(3, 3.0), (2, 2.0), (0, 2.0), (1, 1.0)]
"""Best first, and of equal scores the later."""


def stream_of(texts: list[str], **fields: Any) -> list[dict[str, Any]]:
    return [{"query": "qq", "text": text} | fields for text in texts]


async def test_the_best_text_comes_first_and_of_equal_ones_the_later(live: Live, model: RecordingModel) -> None:
    answer = await live.call("tei.v1.Rerank/Rerank", {"query": "qq", "texts": TEXTS})

    assert [(rank.index, rank.score) for rank in answer.ranks] == ORDER
    assert not any(rank.HasField("text") for rank in answer.ranks)
    assert answer.metadata.compute_chars == 2 * 4 + 8
    assert answer.metadata.compute_tokens == 4 * 4
    assert model.calls == [([("qq", text) for text in TEXTS], RerankOptions(truncate=False, truncate_side="right"))]


async def test_a_stream_of_texts_is_ranked_as_one_message_is(live: Live) -> None:
    call = live.call("tei.v1.Rerank/RerankStream", stream_of(TEXTS))
    answer, keys = await call, dict(await call.initial_metadata())

    assert [(rank.index, rank.score) for rank in answer.ranks] == ORDER
    assert (answer.metadata.compute_chars, answer.metadata.compute_tokens) == (16, 16)
    assert answer.metadata.inference_time_ns == 3_000_000
    assert keys["x-compute-tokens"] == "16"


async def test_texts_are_repeated_on_demand(live: Live) -> None:
    alone = await live.call("tei.v1.Rerank/Rerank", {"query": "q", "texts": TEXTS, "return_text": True})
    streamed = await live.call("tei.v1.Rerank/RerankStream", stream_of(TEXTS, return_text=True))

    assert [rank.text for rank in alone.ranks] == [rank.text for rank in streamed.ranks] == ["ccc", "bb", "aa", "a"]


async def test_the_first_message_decides_on_scores_and_texts_and_each_on_its_own_cut(
    live: Live, model: RecordingModel
) -> None:
    messages = [
        {"query": "q", "text": "a", "raw_scores": True},
        {"query": "q", "text": "b", "truncate": True, "truncation_direction": 1, "return_text": True},
        {"query": "r", "text": "c", "truncate": True, "truncation_direction": 1},
    ]

    answer = await live.call("tei.v1.Rerank/RerankStream", messages)

    assert not any(rank.HasField("text") for rank in answer.ranks)
    assert model.calls == [
        ([("q", "a")], RerankOptions(truncate=False, truncate_side="right", scoring="raw")),
        ([("q", "b")], RerankOptions(truncate_side="left", scoring="raw")),
        ([("r", "c")], RerankOptions(truncate_side="left", scoring="raw")),
    ]


@pytest.mark.parametrize(
    ("rpc", "given"),
    [
        ("Rerank", {"query": "q"}),
        ("Rerank", {"query": "q", "texts": ["a"] * 101}),
        ("Rerank", {"query": "q", "texts": ["a"], "truncation_direction": -1}),
        ("RerankStream", []),
        ("RerankStream", stream_of(["a", "b"], truncation_direction=2)),
        ("RerankStream", [b"\xff"]),
    ],
)
async def test_what_cannot_be_ranked_is_refused(rpc: str, given: Any, live: Live) -> None:
    error = await refusal(live.call(f"tei.v1.Rerank/{rpc}", given))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_returns_no_more_text_than_a_message_may_have(model: RecordingModel, serve: Any) -> None:
    live = await serve(model, message_limit=100)
    texts = ["a" * 60, "b" * 60]

    assert len((await live.call("tei.v1.Rerank/RerankStream", stream_of(texts))).ranks) == 2
    error = await refusal(live.call("tei.v1.Rerank/RerankStream", stream_of(texts, return_text=True)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("rpc", "given"), [("Rerank", {"query": "q", "texts": ["a"]}), ("RerankStream", stream_of(["a"]))]
)
async def test_another_model_says_what_it_does(rpc: str, given: Any, live: Live, model: RecordingModel) -> None:
    model.error = WrongTask("this model embeds")

    error = await refusal(live.call(f"tei.v1.Rerank/{rpc}", given))

    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "this model embeds")


@pytest.mark.parametrize(
    ("rpc", "given"),
    [
        ("tei.v1.Rerank/Rerank", {"query": "", "texts": ["a", ""]}),
        ("tei.v1.Rerank/RerankStream", [{"query": "", "text": ""}]),
    ],
)
async def test_a_query_and_a_text_that_are_both_empty_are_nothing(rpc: str, given: Any, live: Live) -> None:
    refused = await refusal(live.call(rpc, given))

    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "both empty" in refused.details()


async def test_one_of_them_may_be_empty(live: Live) -> None:
    await live.call("tei.v1.Rerank/Rerank", {"query": "", "texts": ["a"]})
    await live.call("tei.v1.Rerank/Rerank", {"query": "q", "texts": [""]})


async def test_a_score_that_is_no_number_is_refused(live: Live, model: RecordingModel) -> None:
    model.scores = float("nan")
    for rpc, given in (
        ("tei.v1.Rerank/Rerank", {"query": "q", "texts": ["a"]}),
        ("tei.v1.Rerank/RerankStream", stream_of(["a"])),
        ("tei.v1.Predict/Predict", {"inputs": "a"}),
    ):
        refused = await refusal(live.call(rpc, given))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "not a number" in refused.details()


async def test_the_wrong_kind_of_model_is_told_before_too_many_texts(live: Live, model: RecordingModel) -> None:
    model.info = replace(model.info, tasks=("embed",))
    model.error = WrongTask("this model cannot rerank")
    refused = await refusal(live.call("tei.v1.Rerank/Rerank", {"query": "q", "texts": ["a"] * 101}))

    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
