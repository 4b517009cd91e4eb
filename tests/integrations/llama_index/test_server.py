from __future__ import annotations

import asyncio
import base64
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from llama_index.embeddings.textmill import TextmillEmbedding, TextmillServerEmbedding
from tests.integrations.llama_index.conftest import Scripted

import textmill

VECTOR = base64.b64encode(np.array([3, 4], "<f4").tobytes()).decode()
FINE: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps({"data": [{"embedding": VECTOR}]}).encode())


def test_the_vectors_are_those_of_the_process(url: str, tiny: Path) -> None:
    ours = TextmillServerEmbedding(
        base_url=f"{url}/v1/", api_key="key", embed_batch_size=7, text_instruction="read this: "
    )
    local = TextmillEmbedding(str(tiny), load_kwargs={"dtype": "float32"})
    texts = [f"text {number}" for number in range(20)]

    np.testing.assert_allclose(ours.get_text_embedding_batch(texts), local.get_text_embedding_batch(texts), atol=1e-5)
    assert len(ours.get_query_embedding("a")) == 32
    ours.close()


async def test_calls_of_an_event_loop(url: str) -> None:
    model = TextmillServerEmbedding("tiny", url, api_key="key", embed_batch_size=5, dimensions=4)

    batches = await asyncio.gather(*(model.aget_text_embedding_batch([str(n) for n in range(17)]) for _ in range(3)))

    assert [len(batch) for batch in batches] == [17] * 3
    assert len(await model.aget_query_embedding("a")) == 4
    await model.aclose()


@pytest.mark.parametrize(
    ("name", "key", "error", "said"),
    [
        ("tiny", "wrong", textmill.ConfigInvalid, "key"),
        ("unknown", "key", textmill.ModelNotFound, "unknown"),
        ("reranker", "key", textmill.InvalidInput, "cannot embed"),
    ],
)
def test_what_the_server_refuses_is_an_error_with_its_words(
    name: str, key: str, error: type[Exception], said: str, url: str
) -> None:
    with pytest.raises(error, match=said):
        TextmillServerEmbedding(name, url, api_key=key).get_text_embedding("a")


def test_the_side_is_told_or_else_the_instruction(scripted: Scripted) -> None:
    scripted.script = [FINE] * 4
    model = TextmillServerEmbedding(base_url=scripted.url)
    instructed = TextmillServerEmbedding(base_url=scripted.url, query_instruction="find: ", text_instruction="")

    assert model.get_query_embedding("q") == [3.0, 4.0]
    model.get_text_embedding("t")
    instructed.get_query_embedding("q")
    instructed.get_text_embedding("t")

    fixed = {"encoding_format": "base64"}
    assert [json.loads(body) for body in scripted.asked] == [
        fixed | {"input": ["q"], "input_type": "query"},
        fixed | {"input": ["t"], "input_type": "document"},
        fixed | {"input": ["q"], "prompt": "find: "},
        fixed | {"input": ["t"], "prompt": ""},
    ]


@pytest.mark.parametrize(
    "trouble", [(429, {"Retry-After": "0"}, b""), (503, {"Retry-After": "0"}, b"{}"), (0, {}, b"")]
)
async def test_a_server_that_is_busy_or_gone_is_asked_again(
    trouble: tuple[int, dict[str, str], bytes], scripted: Scripted
) -> None:
    scripted.script = [trouble, FINE, trouble, FINE]
    model = TextmillServerEmbedding(base_url=scripted.url)

    assert await asyncio.to_thread(model.get_text_embedding, "a") == [3.0, 4.0]
    assert await model.aget_text_embedding("a") == [3.0, 4.0]
    await model.aclose()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((429, {"Retry-After": "7"}, b'{"error": {"message": "full"}}'), textmill.Overloaded, "full"),
        ((503, {}, b'{"error": "leaving", "error_type": "Unhealthy"}'), textmill.Unavailable, "leaving"),
        ((500, {}, b'{"message": "broken"}'), textmill.ForwardFailed, "broken"),
        ((422, {}, b"no JSON"), textmill.InvalidInput, "422: no JSON"),
        ((200, {}, b"<html>"), textmill.ForwardFailed, "is it a textmill server"),
        (
            (200, {}, b'{"data": [{"embeddings": [1.0]}]}'),
            textmill.ForwardFailed,
            "its embedding must be a list of numbers",
        ),
        ((200, {}, b'{"data": []}'), textmill.ForwardFailed, "no vectors in data for 1 inputs"),
        (
            (200, {}, b'{"data": [{"embedding": "AAA"}]}'),
            textmill.ForwardFailed,
            "vectors in its data that are missing",
        ),
        ((0, {}, b""), textmill.Unavailable, "does not answer"),
    ],
)
def test_what_goes_wrong_says_what_and_where(
    answer: tuple[int, dict[str, str], bytes], error: type[Exception], said: str, scripted: Scripted
) -> None:
    scripted.script = [answer]

    with pytest.raises(error, match=said):
        TextmillServerEmbedding(base_url=scripted.url, max_retries=0).get_text_embedding("a")


def test_no_secret_is_written_down_and_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TextmillServerEmbedding(
        "m", "http://h:1/v1", api_key="sk-one", headers={"x-key": "sk-two"}, dimensions=3, timeout=5
    )
    monkeypatch.setenv("TEXTMILL_API_KEY", "sk-three")

    again = [TextmillServerEmbedding.from_dict(model.to_dict()), pickle.loads(pickle.dumps(model))]  # noqa: S301 - ours

    for each in again:
        assert each.to_dict() == model.to_dict()
        assert each.api_key.get_secret_value() == "sk-three"
    assert "sk-" not in repr((model, model.to_dict(), model.to_json(), model.to_payload(), pickle.dumps(model)))


def test_arguments_of_the_class_that_is_replaced(scripted: Scripted) -> None:
    scripted.script = [FINE]
    idle = {"max_length": 4, "backend": "onnx", "device": "cpu", "normalize": False, "foo": 1}

    with pytest.warns(UserWarning, match="no use for max_length, backend, device, normalize, foo") as told:
        model = TextmillServerEmbedding(model_name="m", base_url=scripted.url, truncate_dim=64, **idle)
    model.get_text_embedding("t")

    assert [warning.filename for warning in told] == [__file__]
    assert json.loads(scripted.asked[0])["dimensions"] == 64
    assert TextmillServerEmbedding(base_url=scripted.url, truncate_dim=64, dimensions=8).dimensions == 8


def test_what_is_so_anyway_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = TextmillServerEmbedding(None, None, normalize=True, device=None, truncate_dim=None, num_workers=2)

    assert (made.model_name, made.base_url) == ("", "http://127.0.0.1:8080")
