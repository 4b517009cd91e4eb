from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tests.grpc.conftest import Live, refusal

from textmill.contract import ClassifyOptions
from textmill.testing.served import RecordingModel, vector_of


@pytest.mark.parametrize(
    ("rpc", "inputs", "example"),
    [
        ("Predict", "a", "a"),
        ("PredictPair", ["a"], "a"),
        ("PredictPair", ["a", "b"], ("a", "b")),
        ("PredictPair", ["a", ""], ("a", "")),
    ],
)
async def test_labels_come_best_first(rpc: str, inputs: Any, example: Any, live: Live, model: RecordingModel) -> None:
    answer = await live.call(f"tei.v1.Predict/{rpc}", {"inputs": inputs})

    scores = dict(zip(model.info.labels, vector_of(example, 3), strict=True))
    best = sorted(scores, key=lambda name: -scores[name])
    assert [(item.label, np.float32(item.score)) for item in answer.predictions] == [
        (name, scores[name]) for name in best
    ]
    assert answer.metadata.compute_tokens == len(example) + 2
    assert model.calls == [([example], ClassifyOptions(truncate=False, truncate_side="right"))]


@pytest.mark.parametrize("inputs", [[], [""], ["", ""], ["a", "b", "c"]])
async def test_a_pair_has_one_text_or_two(inputs: list[str], live: Live) -> None:
    error = await refusal(live.call("tei.v1.Predict/PredictPair", {"inputs": inputs}))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_raw_scores_and_truncation_reach_the_model(live: Live, model: RecordingModel) -> None:
    await live.call(
        "tei.v1.Predict/Predict", {"inputs": "a", "raw_scores": True, "truncate": True, "truncation_direction": 1}
    )

    assert model.calls == [(["a"], ClassifyOptions(truncate_side="left", scoring="raw"))]


async def test_streams_of_pairs_are_answered_in_order(live: Live) -> None:
    pairs = [("a", "b"), ("c", "d")]

    answers = await live.replies("tei.v1.Predict/PredictPairStream", [{"inputs": pair} for pair in pairs])

    assert [answer.predictions[0].score for answer in answers] == [vector_of(pair, 3).max() for pair in pairs]
