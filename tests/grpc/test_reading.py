from __future__ import annotations

import grpc
import pytest
from tests.grpc.conftest import Live, refusal

from textmill.contract import TokenizeOptions
from textmill.testing.served import RecordingModel


async def test_special_tokens_are_put_around_on_demand_and_stand_nowhere(live: Live, model: RecordingModel) -> None:
    plain = await live.call("tei.v1.Tokenize/Tokenize", {"inputs": "äb"})
    asked = {"inputs": "äb", "add_special_tokens": True, "prompt_name": "query"}
    special = await live.call("tei.v1.Tokenize/Tokenize", asked)

    assert [(t.id, t.text, t.special, t.start, t.stop) for t in plain.tokens] == [
        (ord("ä"), "ä", False, 0, 2),
        (ord("b"), "b", False, 2, 3),
    ]
    assert [t.HasField("start") or t.HasField("stop") for t in special.tokens] == [False, True, True, False]
    assert [t.special for t in special.tokens] == [True, False, False, True]
    assert model.calls[1] == (["äb"], TokenizeOptions(prompt_name="query"))


async def test_special_tokens_are_decoded_unless_skipped(live: Live) -> None:
    ids = [101, 97, 102]

    assert (await live.call("tei.v1.Tokenize/Decode", {"ids": ids})).text == "[CLS]a[SEP]"
    assert (await live.call("tei.v1.Tokenize/Decode", {"ids": ids, "skip_special_tokens": True})).text == "a"


@pytest.mark.parametrize("rpc", ["Tokenize", "Decode"])
async def test_nothing_is_refused(rpc: str, live: Live) -> None:
    assert (await refusal(live.call(f"tei.v1.Tokenize/{rpc}"))).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_both_stream_in_order_without_metadata_or_permits(model: RecordingModel, serve: object) -> None:
    live: Live = await serve(model, limit=1)  # type: ignore[operator] # a fixture
    with live.permits.compute():
        tokens = await live.replies("tei.v1.Tokenize/TokenizeStream", [{"inputs": "ab"[:n]} for n in (1, 2, 1)])
        texts = await live.replies("tei.v1.Tokenize/DecodeStream", [{"ids": [97 + n]} for n in range(3)])

    assert [len(answer.tokens) for answer in tokens] == [1, 2, 1]
    assert [answer.text for answer in texts] == ["a", "b", "c"]
