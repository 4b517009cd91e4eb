from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from textmill.contract import Input
from textmill.errors import InvalidInput
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore


class Letters:
    """A vocabulary whose ids are characters; there are few."""

    name = "letters"

    def read(self, inputs: Sequence[Input]) -> list[Input]:
        texts: list[Input] = []
        for index, item in enumerate(inputs):
            if not isinstance(item, str) and max(item) > 127:
                msg = "it has none of that id"
                raise InvalidInput(msg, param="input", index=index)
            texts.append(item if isinstance(item, str) else "".join(map(chr, item)))
        return texts


@pytest.fixture
async def client(
    model: RecordingModel, telemetry: Telemetry, settings: HttpSettings
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(RecordingStore(model), settings, telemetry, texts=Letters())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as made:
        yield made


@pytest.mark.parametrize(
    ("given", "rows"),
    [([97, 98], ["ab"]), ([[97], [98, 99]], ["a", "bc"]), (["x", [97]], ["x", "a"])],
    ids=["one", "several", "mixed"],
)
@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/openai/deployments/tiny/embeddings"])
async def test_ids_become_texts_on_every_route_of_openais(
    path: str, given: list[object], rows: list[str], client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post(path, json={"input": given})
    assert (answer.status_code, answer.headers["x-token-input"]) == (200, "letters")
    assert model.calls[0][0] == rows


async def test_they_may_be_late_chunks(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/v1/embeddings", json={"input": [[97], [98]], "late_chunking": True})
    assert model.calls[0][0] == ["a b"]


async def test_texts_are_read_as_ever_and_the_header_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": ["a"]})
    assert "x-token-input" not in answer.headers


async def test_an_empty_text_by_itself_is_embedded_as_langchain_asks_for(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await client.post("/v1/embeddings", json={"input": ""})).status_code == 200
    assert model.calls[0][0] == [""]
    assert (await client.post("/v1/embeddings", json={"input": [[]]})).status_code == 400


async def test_ids_that_are_none_of_it_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": ["a", [999]]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


async def test_other_dialects_have_the_models_own_ids(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/embed", json={"inputs": [[97]]})
    assert model.calls[0][0] == [[97]]
