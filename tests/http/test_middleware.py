"""What a request leaves behind in metrics, traces and the log."""

from __future__ import annotations

import logging
import re

import httpx
import pytest

from textmill.errors import ForwardFailed, Overloaded
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.telemetry.request import CURRENT
from textmill.telemetry.tracer import Span, Tracer
from textmill.testing.served import RecordingModel, RecordingStore


async def series(client: httpx.AsyncClient) -> set[str]:
    text = (await client.get("/metrics")).text
    return {line for line in text.splitlines() if line.startswith("te_") and not line.endswith((" 0", '"} 0'))}


@pytest.mark.parametrize(
    ("path", "body", "form"),
    [
        ("/embed", {"inputs": "a"}, "single"),
        ("/embed", {"inputs": [1, 2]}, "single"),
        ("/embed", {"inputs": ["a"]}, "batch"),
        ("/embed", {"inputs": [[1, 2]]}, "batch"),
        ("/embed_all", {"inputs": "a"}, "single"),
        ("/embed_sparse", {"inputs": ["a"]}, "batch"),
        ("/v1/embeddings", {"input": "a"}, "single"),
        ("/v1/embeddings", {"input": ["a", "b"]}, "batch"),
        ("/predict", {"inputs": "a"}, "single"),
        ("/predict", {"inputs": ["a", "b"]}, "single"),
        ("/predict", {"inputs": [["a"]]}, "batch"),
        ("/rerank", {"query": "a", "texts": ["b"]}, "batch"),
    ],
)
async def test_a_request_counts_once_by_its_form(
    client: httpx.AsyncClient, path: str, body: dict[str, object], form: str
) -> None:
    assert (await client.post(path, json=body)).status_code == 200
    found = await series(client)
    assert {line for line in found if line.startswith(("te_request_count", "te_request_success"))} == {
        f'te_request_count{{method="{form}"}} 1',
        f'te_request_success{{method="{form}"}} 1',
    }
    assert "te_request_duration_count 1" in found


@pytest.mark.parametrize(
    ("body", "error", "err"),
    [
        ({"inputs": []}, None, "tokenization"),
        ({"inputs": ["a", ""]}, None, "tokenization"),
        ({"inputs": ["a"] * 40_000}, None, "batch_size"),
        ({"inputs": "a"}, Overloaded("full", retry_after=1.0), "overloaded"),
        ({"inputs": "a"}, ForwardFailed("broke"), "inference"),
        ({"inputs": "a"}, ZeroDivisionError("a bug"), "inference"),
    ],
)
async def test_a_failure_counts_once_by_its_reason(
    client: httpx.AsyncClient, model: RecordingModel, body: dict[str, object], error: Exception | None, err: str
) -> None:
    model.error = error
    assert (await client.post("/embed", json=body)).is_error
    found = await series(client)
    assert f'te_request_failure{{err="{err}"}} 1' in found
    assert sum(line.startswith("te_request_failure") for line in found) == 1
    assert sum(line.startswith("te_request_count") for line in found) == 1
    assert not any(line.startswith("te_request_success") for line in found)


JSON = {"content-type": "application/json"}


async def test_what_does_not_compute_and_what_never_reached_a_route_counts_nothing(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/info", "/v1/models", "/docs"):
        assert (await client.get(path)).status_code == 200
    assert (await client.post("/embed", content=b"{", headers=JSON)).status_code == 400
    assert (await client.post("/embed", json={"inputs": 7})).status_code == 422
    for path, inputs in (("/embed", [1, "a"]), ("/predict", []), ("/predict", ["a", "b", "c"])):
        assert (await client.post(path, json={"inputs": inputs})).status_code == 422
    assert (await client.post("/v1/embeddings", json={"input": [1, "a"]})).status_code == 400
    assert not any(line.startswith(("te_request", "te_embed")) for line in await series(client))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/", b'{"inputs": "\xff"}', 400),
        ("/", b'{"inputs": 5}', 422),
        ("/", b'{"inputs": ["a", [1.5]]}', 422),
        ("/invocations", b'{"inputs": []', 400),
        ("/m/nope/embed", b'{"inputs": "a"}', 404),
    ],
)
async def test_what_cannot_be_read_or_has_no_model_counts_nothing(
    path: str, body: bytes, status: int, client: httpx.AsyncClient
) -> None:
    assert (await client.post(path, content=body, headers=JSON)).status_code == status
    assert not any(line.startswith(("te_request_c", "te_request_f")) for line in await series(client))


async def test_an_instance_that_cannot_be_read_is_the_callers_fault(client: httpx.AsyncClient) -> None:
    body = b'{"instances": [{"inputs": "\xff"}]}'
    assert (await client.post("/vertex", content=body, headers=JSON)).status_code in (400, 422)
    assert not any('err="inference"' in line for line in await series(client))


async def test_post_to_the_root_counts_once(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", json={"inputs": ["a"]})).status_code == 200
    found = await series(client)
    assert 'te_request_count{method="batch"} 1' in found
    assert 'te_request_success{method="batch"} 1' in found


@pytest.fixture
def spans(telemetry: Telemetry) -> list[Span]:
    """The spans of all that the app does."""
    found: list[Span] = []
    telemetry.tracer = Tracer(1.0, found.extend)
    return found


async def test_a_request_is_a_span_by_its_route(client: httpx.AsyncClient, spans: list[Span]) -> None:
    await client.post("/embeddings", json={"input": ["a", "bc"]})
    [span] = spans
    assert span.name == "POST /v1/embeddings"
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/embeddings",
        "http.response.status_code": 200,
        "textmill.model": "tiny",
        "textmill.inputs": 2,
        "textmill.tokens": 7,
        "textmill.truncated_inputs": 0,
    }


async def test_a_refused_request_is_a_span_too(client: httpx.AsyncClient, spans: list[Span]) -> None:
    await client.post("/embed", json={"inputs": []})
    assert [span.attributes["http.response.status_code"] for span in spans] == [400]


async def test_probes_scrapes_and_strangers_leave_no_span(client: httpx.AsyncClient, spans: list[Span]) -> None:
    for path in ("/health", "/metrics", "/docs", "/wp-login.php"):
        await client.get(path)
    assert spans == []


async def test_a_request_is_over_when_its_task_goes_on(client: httpx.AsyncClient, spans: list[Span]) -> None:
    await client.post("/embed", json={"inputs": "a"})
    assert spans
    assert CURRENT.get() is None


async def test_requests_are_logged_where_that_is_wanted(
    model: RecordingModel, settings: HttpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "textmill.request")
    transport = httpx.ASGITransport(create_app(RecordingStore(model), settings, Telemetry(log_requests=True)))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        await client.post("/v1/embeddings", json={"input": "a"})
        await client.post("/embed", json={"inputs": "a"})
        await client.get("/info")
        await client.post("/embed", json={"inputs": ""})
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines[:2] == [("INFO", "Success")] * 2
    [(level, message)] = lines[2:]
    assert level == "ERROR"
    assert "empty text" in message
    names = [record.__dict__["span"]["name"] for record in caplog.records[:2]]
    assert names == ["openai_embed", "embed"]
    shown = caplog.records[0].__dict__["span"]
    assert {key: shown[key] for key in shown if key not in ("name", "total_time")} == {
        "tokenization_time": "1ms",
        "queue_time": "2ms",
        "inference_time": "3ms",
        "compute_chars": 1,
        "compute_tokens": 3,
    }


async def test_an_inputs_duration_is_that_of_the_call_and_not_the_sum_of_its_stages(
    client: httpx.AsyncClient, telemetry: Telemetry
) -> None:
    """The model says that its stages took 6 ms, though it answers at once."""
    await client.post("/embed", json={"inputs": ["a", "b"]})
    text = telemetry.render()[0].decode()
    found = re.search(r"^te_embed_duration_sum (\S+)\nte_embed_duration_count 2$", text, re.MULTILINE)
    assert found
    assert 0 < float(found[1]) != pytest.approx(0.012)


async def test_requests_are_not_logged_by_default(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "textmill.request")
    await client.post("/embed", json={"inputs": "a"})
    assert [record for record in caplog.records if record.name == "textmill.request"] == []
