"""The server as a whole: with a real model beside HTTP, and its port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tests.grpc.conftest import Live, Serve, refusal

from textmill.cli.door import address_of, bind, listen
from textmill.errors import ConfigInvalid
from textmill.grpc.extra import need_grpc
from textmill.grpc.server import GrpcServer
from textmill.grpc.service import Service
from textmill.grpc.settings import GrpcSettings
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.store.load import load
from textmill.store.permits import Permits
from textmill.store.store import Store
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

TEXTS = ["The mill turns.", "Water drives the wheel — 水車。", "a", "word " * 100]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with load("all-MiniLM-L6-v2", dtype="float32") as model:
        yield Store([model])


async def over_http(store: Store, route: str, **body: Any) -> Any:
    settings = HttpSettings(api_keys=(), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0")
    transport = httpx.ASGITransport(create_app(store, settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return (await client.post(route, json=body)).json()


@pytest.mark.parametrize(
    "fields", [{}, {"normalize": False}, {"dimensions": 64}, {"dimensions": 64, "normalize": False}]
)
async def test_vectors_are_those_of_http(fields: dict[str, Any], store: Store, serve: Serve) -> None:
    live: Live = await serve(store)

    expected = await over_http(store, "/embed", inputs=TEXTS, **fields)
    alone = [await live.call("tei.v1.Embed/Embed", {"inputs": text} | fields) for text in TEXTS]
    streamed = await live.replies("tei.v1.Embed/EmbedStream", [{"inputs": text} | fields for text in TEXTS])

    for answers in (alone, streamed):
        np.testing.assert_allclose([answer.embeddings for answer in answers], expected, rtol=0, atol=1e-5)


async def test_states_of_tokens_are_those_of_http(store: Store, serve: Serve) -> None:
    live: Live = await serve(store)

    [expected] = await over_http(store, "/embed_all", inputs="The mill turns.")
    [answer] = await live.replies("tei.v1.Embed/EmbedAllStream", [{"inputs": "The mill turns."}])

    found = [token.embeddings for token in answer.token_embeddings]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert answer.metadata.compute_tokens == len(found) == 6


async def test_a_text_that_is_too_long_is_refused_unless_it_may_be_cut(store: Store, serve: Serve) -> None:
    live: Live = await serve(store)
    long = "word " * 500

    assert (await refusal(live.call("tei.v1.Embed/Embed", {"inputs": long}))).code() is grpc.StatusCode.INVALID_ARGUMENT
    for side in (0, 1):
        answer = await live.call("tei.v1.Embed/Embed", {"inputs": long, "truncate": True, "truncation_direction": side})
        assert answer.metadata.compute_tokens == 256


async def test_a_long_stream_with_a_text_that_is_too_long_answers_those_before_it(store: Store, serve: Serve) -> None:
    live: Live = await serve(store, ahead=1024)
    texts = [f"text {i}" for i in range(100)]
    texts[70] = "word " * 500

    call = live.call("tei.v1.Embed/EmbedStream", [{"inputs": text} for text in texts])
    answers = [await call.read() for _ in range(70)]

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [answer.metadata.compute_chars for answer in answers] == [len(text) for text in texts[:70]]


async def test_special_tokens_are_off_unless_asked_for(store: Store, serve: Serve) -> None:
    live: Live = await serve(store)

    bare = await live.call("tei.v1.Tokenize/Tokenize", {"inputs": "héllo"})
    around = await live.call("tei.v1.Tokenize/Tokenize", {"inputs": "héllo", "add_special_tokens": True})
    text = await live.call("tei.v1.Tokenize/Decode", {"ids": [101, 7592, 102]})

    assert [(token.text, token.start, token.stop) for token in bare.tokens] == [("héllo", 0, 6)]
    assert [token.text for token in around.tokens] == ["[CLS]", "héllo", "[SEP]"]
    assert text.text == "[CLS] hello [SEP]"


async def test_a_model_that_embeds_says_so_where_it_cannot_do_what_is_asked(store: Store, serve: Serve) -> None:
    live: Live = await serve(store)

    info = await live.call("tei.v1.Info/Info", {})
    refused = [
        await refusal(live.call("tei.v1.Predict/Predict", {"inputs": "a"})),
        await refusal(live.call("tei.v1.Rerank/Rerank", {"query": "a", "texts": ["b"]})),
        await refusal(live.call("tei.v1.Embed/EmbedSparse", {"inputs": "a"})),
    ]

    assert (info.version, info.model_type, info.max_input_length, info.max_client_batch_size) == ("1.2.3", 0, 256, 100)
    assert not info.HasField("sha")
    assert {(error.code(), "can embed" in error.details()) for error in refused} == {
        (grpc.StatusCode.FAILED_PRECONDITION, True)
    }


def server_at(address: str) -> GrpcServer:
    settings = GrpcSettings(version="0", message_limit=1000, max_inputs=10)
    service = Service(RecordingStore(RecordingModel()), settings, Telemetry(), Permits(), lambda _: True)
    return GrpcServer(service, address)


async def test_a_port_that_was_bound_before_is_taken_over_when_it_starts() -> None:
    with bind("127.0.0.1", 0, flag="--grpc-port") as door:
        server = server_at(address_of(door))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*door.getsockname())
        await server.start()
        assert server.port == door.getsockname()[1]
        _, writer = await asyncio.open_connection(*door.getsockname())
        writer.close()
        await server.stop()


async def test_a_port_that_another_listens_on_is_an_error_that_names_the_option() -> None:
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        server = server_at(address_of(taken))

        with pytest.raises(ConfigInvalid, match="--grpc-port"):
            await server.start()
        await server.stop()


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", {"127.0.0.1"}), ("::", {"127.0.0.1", "::1"}), ("::1", {"::1"})],  # noqa: S104 - the point of it
)
async def test_it_listens_where_http_does(host: str, reached: set[str]) -> None:
    """grpcio by itself takes 0.0.0.0 for both families."""
    try:
        with bind("::1", 0):
            pass
    except ConfigInvalid:
        pytest.skip("there is no IPv6")
    with bind(host, 0) as door, bind(host, 0) as beside:
        listen(door)
        server = server_at(address_of(beside))
        await server.start()
        over_http, over_grpc = await reached_at(door.getsockname()[1]), await reached_at(beside.getsockname()[1])
        await server.stop()
    assert over_http == over_grpc == reached


async def reached_at(port: int) -> set[str]:
    """The addresses of this machine that a port is open at."""
    found = set()
    for address in ("127.0.0.1", "::1"):
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            found.add(address)
    return found


def test_what_the_room_needs_is_installed_with_the_tests() -> None:
    need_grpc()
