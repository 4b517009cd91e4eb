"""TextmillServerEmbeddings asks a server, and says which side texts are on."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Iterator

import pytest
from langchain_textmill import TextmillServerEmbeddings
from pydantic import ValidationError

from textmill.errors import ConfigInvalid, Overloaded
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, threaded_openai_server


def lengths(asked: Asked) -> Answer:
    return Answer(body={"data": [{"embedding": [len(text), 0.5]} for text in asked.body["input"]]})


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with threaded_openai_server(lengths) as started:
        yield started


def test_the_side_of_texts_is_sent_with_them_and_the_key(server: OpenAIServer) -> None:
    there = TextmillServerEmbeddings(url=server.base_url, model="m", api_key="secret", dimensions=2)
    with there:
        assert there.embed_documents(["ab\nc", ""]) == [[4.0, 0.5], [0.0, 0.5]]
        assert there.embed_query("abc") == [3.0, 0.5]
        assert asyncio.run(there.aembed_documents(["a"])) == [[1.0, 0.5]]
        assert asyncio.run(there.aembed_query("ab")) == [2.0, 0.5]

    usual = {"model": "m", "dimensions": 2, "encoding_format": "base64"}
    assert server.bodies == [
        {**usual, "input": ["ab\nc", ""], "input_type": "document"},
        {**usual, "input": ["abc"], "input_type": "query"},
        {**usual, "input": ["a"], "input_type": "document"},
        {**usual, "input": ["ab"], "input_type": "query"},
    ]
    assert {each.headers["authorization"] for each in server.asked} == {"Bearer secret"}
    assert "secret" not in repr(there)


def test_it_is_pickled_and_copied_with_its_key(server: OpenAIServer) -> None:
    there = TextmillServerEmbeddings(url=server.base_url, api_key="secret")
    there.embed_query("abc")
    for other in (pickle.loads(pickle.dumps(there)), copy.deepcopy(there)):  # noqa: S301 - ours
        with other:
            assert other.embed_query("abc") == [3.0, 0.5]
    there.close()
    assert {each.headers["authorization"] for each in server.asked} == {"Bearer secret"}


def test_prompts_of_the_user_take_the_place_of_the_side(server: OpenAIServer) -> None:
    with TextmillServerEmbeddings(base_url=server.base_url, query_prompt="q: ", document_prompt="") as there:
        there.embed_query("a")
        there.embed_documents(["a"])

    assert [(body["prompt"], "input_type" in body) for body in server.bodies] == [("q: ", False), ("", False)]


def test_no_documents_ask_nothing(server: OpenAIServer) -> None:
    with TextmillServerEmbeddings(url=server.base_url) as there:
        assert there.embed_documents([]) == asyncio.run(there.aembed_documents([])) == []
    assert server.asked == []


def test_a_busy_server_is_asked_again(server: OpenAIServer) -> None:
    busy = Answer(status=429, headers={"Retry-After": "0"}, body={"message": "full"})
    server.script = lambda asked: busy if len(server.asked) < 3 else lengths(asked)
    with TextmillServerEmbeddings(url=server.base_url) as there:
        assert there.embed_query("abc") == [3.0, 0.5]
    server.script = lambda _: busy
    with TextmillServerEmbeddings(url=server.base_url, max_retries=0) as there, pytest.raises(Overloaded, match="full"):
        there.embed_query("abc")
    assert len(server.asked) == 4


def test_fields_that_are_wrong_are_named() -> None:
    with pytest.raises(ValidationError, match="did you mean url"):
        TextmillServerEmbeddings(urls="http://localhost")
    with pytest.raises(ConfigInvalid, match="url is 'localhost'"):
        TextmillServerEmbeddings(url="localhost")
