"""Models of a models folder that servers elsewhere run, as clients of this one see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError

from textmill.cli.models import open_store
from textmill.config import ServeOptions
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, chunk, saying, threaded_openai_server


def script(asked: Asked) -> Answer:
    if asked.path.endswith("/embeddings"):
        return Answer(
            body={"data": [{"embedding": [3, 4]} for _ in asked.body["input"]], "usage": {"prompt_tokens": 4}}
        )
    if asked.path.endswith("/chat/completions"):
        return saying("The ", "mill", usage={"prompt_tokens": 4, "completion_tokens": 2})
    return Answer(steps=[chunk(text=" turns", reason="length")])


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[AsyncOpenAI, OpenAIServer]]:
    with threaded_openai_server(script) as server:
        (tmp_path / "all.yaml").write_text(
            f"- {{name: gpt, backend: remote, parameters: {{model: there}}, options: ['base_url:{server.base_url}']}}\n"
            f"- {{name: ada, backend: remote, parameters: {{model: embed-1}}, options: ['base_url:{server.base_url}']}}\n"
        )
        store = open_store(ServeOptions(models_path=str(tmp_path)), Telemetry())
        settings = HttpSettings(api_keys=(), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0")
        transport = httpx.ASGITransport(create_app(store, settings, Telemetry()))
        async with httpx.AsyncClient(transport=transport) as http:
            client: Any = http  # the package is typed for another one
            yield AsyncOpenAI(base_url="http://textmill/v1", api_key="x", http_client=client, max_retries=0), server
        store.close(0)


async def test_clients_do_not_see_where_a_model_runs(served: tuple[AsyncOpenAI, OpenAIServer]) -> None:
    client, server = served
    assert {model.id async for model in client.models.list()} == {"gpt", "ada"}
    said = await client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "hi"}])
    assert said.choices[0].message.content == "The mill"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (4, 2)
    stream = await client.chat.completions.create(
        model="gpt", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    assert "".join([each.choices[0].delta.content or "" async for each in stream if each.choices]) == "The mill"
    wrote = await client.completions.create(model="gpt", prompt="The mill", max_tokens=1)
    assert (wrote.choices[0].text, wrote.choices[0].finish_reason) == (" turns", "length")
    vectors = await client.embeddings.create(model="ada", input=["a", "b"], encoding_format="float")
    assert [each.embedding for each in vectors.data] == [[3, 4], [3, 4]]
    assert {body["model"] for body in server.bodies} == {"there", "embed-1"}


async def test_what_the_server_refuses_is_refused(served: tuple[AsyncOpenAI, OpenAIServer]) -> None:
    client, server = served
    server.script = lambda _: Answer(status=400, body={"error": {"message": "no such role"}})
    with pytest.raises(BadRequestError, match="no such role"):
        await client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "hi"}])
