from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import EmbedOptions, Kind
from textmill.testing.served import RecordingModel, vector_of

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def model() -> RecordingModel:
    made = RecordingModel()
    made.info = replace(made.info, prompts=("query", "passage", "classification"))
    return made


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({"input_type": "query"}, EmbedOptions(kind="query")),
        ({"input_type": "search_document"}, EmbedOptions(kind="document")),
        ({"task": "retrieval.passage"}, EmbedOptions(kind="document")),
        ({"task": "classification"}, EmbedOptions(prompt_name="classification")),
        ({"task": "text-matching"}, EmbedOptions()),
        ({"model": "tiny:query"}, EmbedOptions(kind="query")),
        ({"model": "tiny:passage", "input_type": "document"}, EmbedOptions(kind="document")),
        ({"model": "owner/tiny:query"}, EmbedOptions(kind="query")),
        ({"input_type": "query", "prompt_name": "passage"}, EmbedOptions(prompt_name="passage")),
        ({"input_type": "query", "prompt": ""}, EmbedOptions(prompt="")),
        ({"normalized": False, "truncate": False}, EmbedOptions(normalize=False, truncate=False)),
        ({"truncate": False, "on_overflow": "truncate"}, EmbedOptions()),
        ({"output_dimension": 8, "truncation": False}, EmbedOptions(dimensions=8, truncate=False)),
        ({"output_dimension": 8, "dimensions": 9, "truncation": False, "truncate": True}, EmbedOptions(dimensions=9)),
        ({"output_dimension": None, "truncation": None, "output_dtype": "float"}, EmbedOptions()),
        (
            dict.fromkeys(
                ("input_type", "task", "late_chunking", "embedding_type", "encoding_type", "normalized", "truncate")
            ),
            EmbedOptions(),
        ),
    ],
)
async def test_what_texts_are_for_reaches_the_model(
    said: dict[str, Any], options: EmbedOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a", **said})
    assert (answer.status_code, answer.json()["model"]) == (200, "tiny")
    assert model.calls[0][1] == options


@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("/v1/engines/tiny:query/embeddings", "query"),
        ("/m/tiny:document/v1/embeddings", "document"),
        ("/openai/deployments/owner/tiny:query/embeddings", "query"),
    ],
)
async def test_a_side_may_stand_behind_the_name_in_a_path(
    path: str, side: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await client.post(path, json={"input": "a"})).status_code == 200
    assert model.calls[0][1] == EmbedOptions(kind=side)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/m/tiny/v1/embeddings", "/openai/deployments/tiny/embeddings"])
@pytest.mark.parametrize(
    ("name", "side"), [("tiny:query", "query"), ("other:query", None), ("tiny", None), (None, None)]
)
async def test_a_side_may_stand_behind_the_same_name_in_the_body(
    path: str, name: str | None, side: Kind | None, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await client.post(path, json={"input": "a", "model": name})).status_code == 200
    assert model.calls[0][1] == EmbedOptions(kind=side)


async def test_a_side_in_the_path_counts_more_than_one_in_the_body(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    await client.post("/m/tiny:query/v1/embeddings", json={"input": "a", "model": "tiny:document"})
    assert model.calls[0][1] == EmbedOptions(kind="query")


@pytest.mark.parametrize(
    ("said", "param", "says"),
    [
        ({"input_type": "image"}, "input_type", "may be one of query"),
        ({"task": "nonsense" * 50}, "task", "…' is not known"),
        ({"model": "tiny:query", "input_type": "document"}, "input_type", "the model's suffix :query"),
        ({"input": {"image": "https://example.org/a.png"}}, "input", "has an image"),
        ({"input": ["a", {"image": "x", "text": "b"}]}, "input", "input[1] has an image"),
        ({"input": ["a", {"url": "x"}]}, "input", "input[1] is an object without a 'text'"),
        ({"output_dtype": "int8"}, "output_dtype", "send embedding_type"),
        ({"output_dimension": 0}, "output_dimension", ">= 1"),
        ({"embedding_type": []}, "embedding_type", "empty list"),
        ({"embedding_type": "int4"}, "embedding_type", "int4"),
        ({"late_chunking": True, "on_overflow": "chunk"}, "late_chunking", "on_overflow 'chunk'"),
        ({"late_chunking": True, "pooling": "last"}, "late_chunking", "another pooling"),
        ({"late_chunking": True, "input": [[1, 2]]}, "input", "token ids"),
        ({"late_chunking": True, "input": ["a", " "]}, "input", "input[1] has no word"),
        ({"late_chunking": True, "input": ["a"] * 10_001}, "input", "at most 10000 chunks"),
    ],
)
async def test_what_makes_no_sense_is_refused_where_it_stands(
    said: dict[str, Any], param: str, says: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a", **said})
    body = answer.json()
    assert (answer.status_code, body["error"]["param"]) == (400, param)
    assert says in body["detail"]


async def test_a_model_that_nobody_knows_is_told_without_its_side(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a", "model": "gpt:query"})
    assert answer.status_code == 404
    assert "'gpt'" in answer.json()["detail"]


async def test_texts_may_be_objects(client: httpx.AsyncClient, model: RecordingModel) -> None:
    for given, rows in (({"text": "a"}, ["a"]), (["a", {"text": "b", "id": 1}, {"text": ""}], ["a", "b", ""])):
        answer = await client.post("/v1/embeddings", json={"input": given})
        assert answer.status_code == 200
        assert model.calls[-1][0] == rows


@pytest.mark.parametrize("field", ["embedding_type", "encoding_type", "encoding_format"])
async def test_several_forms_come_at_once(field: str, client: httpx.AsyncClient) -> None:
    wanted = ["float", "binary"]
    answer = await client.post("/v1/embeddings", json={"input": ["a", "b"], field: wanted})
    vectors = [item["embedding"] for item in answer.json()["data"]]
    assert [list(vector) for vector in vectors] == [wanted, wanted]
    assert np.array_equal(np.float32(vectors[1]["float"]), vector_of("b"))


async def test_jinas_form_counts_more_than_openais(client: httpx.AsyncClient) -> None:
    said = {"input": "a", "encoding_format": "base64", "embedding_type": "ubinary"}
    [item] = (await client.post("/v1/embeddings", json=said)).json()["data"]
    assert len(item["embedding"]) == 48
    assert all(0 <= value < 256 for value in item["embedding"])


async def test_late_chunks_are_places_of_one_document(client: httpx.AsyncClient, model: RecordingModel) -> None:
    texts = ["The mill", "turns. ", "Bread\n", " is baked."]
    said = {"input": texts, "late_chunking": True, "input_type": "query", "normalized": False, "dimensions": 3}
    answer = await client.post("/v1/embeddings", json=said)
    document, options = model.calls[0]
    assert document == ["The mill turns. Bread\n is baked."]
    assert isinstance(options, type(options))
    assert (options.kind, options.late, options.normalize, options.dimensions) == ("query", True, False, 3)  # type: ignore[attr-defined]
    vectors = [np.float32(item["embedding"]) for item in answer.json()["data"]]
    assert all(np.array_equal(vector, vector_of(text, 4)) for vector, text in zip(vectors, texts, strict=True))
    assert answer.json()["usage"]["total_tokens"] == len(document[0]) + 2


@pytest.mark.parametrize("modality", ["image", "audio"])
async def test_urls_of_images_and_sounds_are_not_embedded_as_texts(modality: str, client: httpx.AsyncClient) -> None:
    """As Infinity's clients send them."""
    body = {"input": ["http://somewhere/cat.png"], "modality": modality}
    answer = await client.post("/embeddings", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "modality")


@pytest.mark.parametrize("modality", ["text", None])
async def test_infinitys_clients_may_name_no_model(modality: str | None, client: httpx.AsyncClient) -> None:
    body = {"input": ["a"], "modality": modality, "model": "default/not-specified"}
    answer = await client.post("/embeddings", json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, "tiny")
