from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

Connect = Callable[..., httpx.AsyncClient]

PAGE = "https://page.example"
KEY = "correct-horse"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-stainless-lang",
}
VARY = "origin, access-control-request-method, access-control-request-headers"


@pytest.fixture
def listed(connect: Connect) -> httpx.AsyncClient:
    return connect(api_keys=(KEY,), cors_origins=(PAGE, "https://second.example"))


async def test_a_listed_page_may_send_its_key_and_whatever_its_client_library_adds(listed: httpx.AsyncClient) -> None:
    answer = await listed.options("/embed", headers=PREFLIGHT | {"origin": PAGE})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert answer.headers["vary"] == VARY


async def test_a_preflight_needs_no_key_and_reaches_no_route(listed: httpx.AsyncClient) -> None:
    answer = await listed.options("/nothing", headers=PREFLIGHT | {"origin": PAGE})
    assert answer.status_code == 200


async def test_a_preflight_that_asks_for_no_header_hears_which_there_are(listed: httpx.AsyncClient) -> None:
    answer = await listed.options("/embed", headers={"origin": PAGE, "access-control-request-method": "POST"})
    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize("headers", [{"origin": "https://other.example"}, {"origin": "null"}, {}])
async def test_another_page_is_not_let_in(headers: dict[str, str], listed: httpx.AsyncClient) -> None:
    preflight = await listed.options("/embed", headers=PREFLIGHT | headers)
    call = await listed.get("/health", headers=headers)
    for answer in (preflight, call):
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == VARY


@pytest.mark.parametrize(
    ("path", "status"), [("/embed", 200), ("/v1/embeddings", 400), ("/nothing", 404), ("/info", 405)]
)
async def test_a_page_may_read_its_answer_and_what_went_wrong(
    path: str, status: int, listed: httpx.AsyncClient
) -> None:
    answer = await listed.post(path, json={"inputs": "a"}, headers={"origin": PAGE, "authorization": f"Bearer {KEY}"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-expose-headers"] == "*"


async def test_a_page_without_the_key_learns_that(listed: httpx.AsyncClient) -> None:
    answer = await listed.post("/embed", json={"inputs": "a"}, headers={"origin": PAGE})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, PAGE)


async def test_a_star_lets_any_page_call_and_is_in_every_answer(connect: Connect) -> None:
    client = connect(cors_origins=("*",))
    for headers in ({"origin": "null"}, {"origin": PAGE}, {}):
        for answer in (
            await client.post("/embed", json={"inputs": "a"}, headers=headers),
            await client.options("/embed", headers=PREFLIGHT | headers),
        ):
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["vary"] == VARY


async def test_without_an_origin_no_page_may_call(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"inputs": "a"}, headers={"origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    preflight = await client.options("/embed", headers=PREFLIGHT | {"origin": PAGE})
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers
