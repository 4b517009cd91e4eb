from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from tests.grpc.conftest import Live, refusal

from textmill.contract import EmbedOptions, SparseOptions, TextOptions
from textmill.testing.served import RecordingModel, vector_of


async def test_a_text_gets_its_vector_and_what_it_took(live: Live) -> None:
    answer = await live.call("tei.v1.Embed/Embed", {"inputs": "äb"})

    np.testing.assert_array_equal(np.float32(answer.embeddings), vector_of("äb"))
    assert (answer.metadata.compute_chars, answer.metadata.compute_tokens) == (2, 4)
    assert answer.metadata.tokenization_time_ns == 1_000_000
    assert answer.metadata.queue_time_ns == 2_000_000
    assert answer.metadata.inference_time_ns == 3_000_000
    assert answer.metadata.total_time_ns > 0


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"truncate": False, "truncate_side": "right"}),
        ({"truncate": True, "truncation_direction": 1}, {"truncate_side": "left"}),
        ({"normalize": True}, {"truncate": False, "truncate_side": "right", "normalize": True}),
        ({"normalize": False}, {"truncate": False, "truncate_side": "right", "normalize": False}),
        (
            {"prompt_name": "query", "dimensions": 8},
            {"truncate": False, "truncate_side": "right", "prompt_name": "query", "dimensions": 8},
        ),
        ({"prompt_name": ""}, {"truncate": False, "truncate_side": "right", "prompt_name": ""}),
        ({"dimensions": 0}, {"truncate": False, "truncate_side": "right", "dimensions": 0}),
    ],
)
async def test_what_a_message_does_not_say_has_the_protos_default_and_normalize_is_the_models(
    fields: dict[str, Any], options: dict[str, Any], live: Live, model: RecordingModel
) -> None:
    await live.call("tei.v1.Embed/Embed", {"inputs": "a"} | fields)

    assert model.calls == [(["a"], EmbedOptions(**options))]


async def test_a_sparse_vector_has_its_entries(live: Live, model: RecordingModel) -> None:
    answer = await live.call("tei.v1.Embed/EmbedSparse", {"inputs": "abc", "truncate": True})

    [entry] = answer.sparse_embeddings
    assert (entry.index, np.float32(entry.value)) == (3, vector_of("abc", 1)[0])
    assert answer.metadata.compute_tokens == 5
    assert model.calls == [(["abc"], SparseOptions(truncate_side="right"))]


async def test_all_tokens_have_their_vectors(live: Live, model: RecordingModel) -> None:
    answer = await live.call("tei.v1.Embed/EmbedAll", {"inputs": "ab", "prompt_name": "query"})

    rows = [np.float32(token.embeddings) for token in answer.token_embeddings]
    np.testing.assert_array_equal(rows, [vector_of([ord(character)], 4) for character in "ab"])
    assert answer.metadata.compute_chars == 2
    assert model.calls == [(["ab"], TextOptions(truncate=False, truncate_side="right", prompt_name="query"))]


@pytest.mark.parametrize("rpc", ["Embed", "EmbedSparse", "EmbedAll"])
@pytest.mark.parametrize(
    "given",
    [{"inputs": ""}, {}, {"inputs": "a", "truncation_direction": 2}, b"\xff", b"\x0a\x01\xff"],
    ids=["empty", "nothing", "direction", "garbage", "latin-1"],
)
async def test_a_message_that_asks_nothing_that_can_be_done_is_refused(rpc: str, given: Any, live: Live) -> None:
    error = await refusal(live.call(f"tei.v1.Embed/{rpc}", given))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_sparse_model_gives_every_value_of_the_vocabulary_where_nothing_is_scaled(
    live: Live, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=("embed_sparse",))

    answer = await live.call("tei.v1.Embed/Embed", {"inputs": "abc", "normalize": False})
    cut = await live.call("tei.v1.Embed/Embed", {"inputs": "abc", "normalize": False, "dimensions": 4})

    values = np.array(answer.embeddings, np.float32)
    assert (len(values), np.flatnonzero(values).tolist()) == (model.info.vocabulary, [3])
    assert values[3] == vector_of("abc", 1)[0]
    np.testing.assert_array_equal(np.float32(cut.embeddings), values[:4])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"normalize": True}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"normalize": False, "dimensions": 0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"normalize": False, "dimensions": 10**6}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_sparse_model_says_why_it_does_not(
    fields: dict[str, Any], code: grpc.StatusCode, live: Live, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=("embed_sparse",))

    assert (await refusal(live.call("tei.v1.Embed/Embed", {"inputs": "abc"} | fields))).code() is code
