from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from textmill.testing.served import RecordingModel, vector_of

Connect = Callable[..., httpx.AsyncClient]


def azure(client: Any, **more: Any) -> openai.AsyncAzureOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint="http://server", api_version="2024-10-21", http_client=client, max_retries=0, **more
    )


async def test_azures_client_embeds_chats_and_completes(connect: Connect, model: RecordingModel) -> None:
    client = azure(connect(api_keys=("sesame",)), api_key="sesame")
    vectors = await client.embeddings.create(model="tiny", input=["a", "b"])
    assert np.array_equal(np.array(vectors.data[1].embedding, np.float32), vector_of("b"))
    said = await client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Who turns?"}])
    assert said.choices[0].message.content == "The mill turns."
    stream = await client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Who turns?"}], stream=True
    )
    assert (
        "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "The mill turns."
    )
    text = await client.completions.create(model="tiny", prompt="So")
    assert text.choices[0].text == "The mill turns."
    assert len(model.asked) == 3


async def test_the_deployment_counts_and_not_the_body(client: httpx.AsyncClient) -> None:
    for name in ("tiny", "owner/tiny", "owner%2Ftiny"):
        path = f"/openai/deployments/{name}/embeddings?api-version=2024-10-21"
        answer = await client.post(path, json={"input": "a", "model": "gpt"})
        assert (answer.status_code, answer.json()["model"]) == (200, "tiny")
    missing = await client.post("/openai/deployments/gpt/embeddings", json={"input": "a", "model": "tiny"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_newer_paths_take_the_bodys_model(client: httpx.AsyncClient) -> None:
    answer = await client.post("/openai/v1/embeddings", json={"input": "a", "model": "tiny"})
    assert answer.status_code == 200
    assert (await client.post("/openai/v1/embeddings", json={"input": "a", "model": "gpt"})).status_code == 404


async def test_a_wrong_key_is_refused(connect: Connect) -> None:
    client = azure(connect(api_keys=("sesame",)), api_key="wrong")
    with pytest.raises(openai.AuthenticationError):
        await client.embeddings.create(model="tiny", input="a")


@pytest.mark.parametrize(
    "header", [{"authorization": "Bearer sesame"}, {"authorization": "sesame"}, {"api-key": "sesame"}]
)
async def test_each_way_of_sending_a_key_opens_each_route(header: dict[str, str], connect: Connect) -> None:
    client = connect(api_keys=("sesame",))
    bodies = {
        "/openai/deployments/tiny/embeddings": {"input": "a"},
        "/models/tiny/pipeline/feature-extraction": {"inputs": "a"},
        "/classify": {"input": "a"},
        "/v1/embeddings": {"input": "a"},
    }
    for path, body in bodies.items():
        assert (await client.post(path, json=body)).status_code == 401
        assert (await client.post(path, json=body, headers=header)).status_code == 200


async def test_what_azure_has_and_we_do_not_is_told_as_openais_clients_read_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/openai/deployments/tiny/images/generations", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_route")
