"""OpenAI's client over a real connection; what it sends in detail is in tests/http/test_openai.py."""

from __future__ import annotations

import numpy as np
import openai
import pytest

from textmill.errors import Overloaded
from textmill.testing.served import RecordingModel, vector_of

TEXTS = ["first", "second", "third"]


def test_the_client_gets_the_vectors(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="key") as client:
        made = client.embeddings.create(model="tiny", input=TEXTS)
    assert np.allclose([one.embedding for one in made.data], [vector_of(text) for text in TEXTS])
    assert made.usage.prompt_tokens == sum(len(text) + 2 for text in TEXTS)


async def test_the_async_client_gets_them_too(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="key") as client:
        made = await client.embeddings.create(model="tiny", input=TEXTS[0], encoding_format="float")
        assert [model.id async for model in client.models.list()] == ["tiny"]
    assert np.allclose(made.data[0].embedding, vector_of(TEXTS[0]))


def test_its_errors_are_those_that_it_has_for_them(url: str, model: RecordingModel) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.embeddings.create(model="tiny", input=TEXTS)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="another", input=TEXTS)
        model.error = Overloaded("full", retry_after=1)
        with pytest.raises(openai.RateLimitError) as caught:
            client.embeddings.create(model="tiny", input=TEXTS)
    assert caught.value.response.headers["retry-after"] == "1"
