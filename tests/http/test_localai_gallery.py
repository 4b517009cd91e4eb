"""LocalAI's routes that install and delete models, over an installer that only notes what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from textmill.gallery.entry import File
from textmill.gallery.wish import Wish
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.installer import RecordingInstaller
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect(anyone_installs=True)


@pytest.mark.parametrize(
    ("path", "body", "wish"),
    [
        ("/models/apply", {"id": "test@bert"}, Wish(id="test@bert")),
        (
            "/models/apply",
            {"uri": "owner/repo", "variant": "q4", "id": None, "files": None},
            Wish(uri="owner/repo", variant="q4"),
        ),
        (
            "/models/apply",
            {
                "url": "github:a/b/c.yaml",
                "name": "c",
                "overrides": {"backend": "llama"},
                "files": [{"filename": "f.bin", "uri": "https://x.example/f"}],
                "unknown": 1,
            },
            Wish(
                url="github:a/b/c.yaml",
                name="c",
                overrides={"backend": "llama"},
                files=(File(filename="f.bin", uri="https://x.example/f"),),
            ),
        ),
        ("/models/import-uri", {"uri": "owner/repo"}, Wish(uri="owner/repo")),
        (
            "/models/import-uri",
            {
                "uri": "owner/repo",
                "preferences": {
                    "name": "n",
                    "backend": "llama-cpp",
                    "quantizations": "q4_k_m, q8_0",
                    "embeddings": "true",
                },
            },
            Wish(uri="owner/repo", name="n", overrides={"backend": "llama-cpp", "embeddings": True}, variant="q4_k_m"),
        ),
        ("/models/delete/owner/name", None, Wish(delete="owner/name")),
        ("/models/delete/owner%2Fname", None, Wish(delete="owner/name")),
    ],
)
async def test_a_wish_becomes_a_job(
    path: str, body: Any, wish: Wish, client: httpx.AsyncClient, installer: RecordingInstaller
) -> None:
    answer = await client.post(path, json=body)
    assert answer.json() == {"uuid": "job-1", "status": "http://server/models/jobs/job-1"}
    assert installer.wishes == [wish]
    record = (await client.get(answer.json()["status"])).json()
    assert (record["processed"], record["message"], record["deletion"]) == (False, "queued", bool(wish.delete))
    installer.end("job-1")
    assert (await client.get("/models/jobs")).json()["job-1"]["message"] == "completed"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/models/apply", {}, "id"),
        ("/models/apply", {"id": "a", "url": "b"}, "url"),
        ("/models/apply", {"id": 1}, "id"),
        ("/models/apply", {"id": "a", "name": "../../etc/passwd"}, "name"),
        ("/models/apply", {"id": "a", "name": "/etc/passwd"}, "name"),
        ("/models/apply", {"id": "a", "files": [{"filename": "../x", "uri": "https://x.example"}]}, "files"),
        (
            "/models/apply",
            {"id": "a", "files": [{"filename": ".textmill/jobs/x", "uri": "https://x.example"}]},
            "files",
        ),
        ("/models/apply", {"id": "a", "files": [{"filename": "x"}]}, "files"),
        ("/models/import-uri", {"uri": ""}, "uri"),
        ("/models/import-uri", {"uri": "a/b", "preferences": {"embeddings": "perhaps"}}, "preferences"),
        ("/models/import-uri", {"uri": "a/b", "preferences": {"name": "..%2f"}}, None),
    ],
)
async def test_a_wish_that_cannot_be_one_is_400_at_once(
    path: str, body: Mapping[str, Any], param: str | None, client: httpx.AsyncClient, installer: RecordingInstaller
) -> None:
    answer = await client.post(path, json=body)
    if param is None:
        assert answer.status_code in (200, 400)
        return
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert installer.wishes == []


async def test_a_job_can_be_cancelled_and_an_unknown_one_is_404(client: httpx.AsyncClient) -> None:
    await client.post("/models/apply", json={"id": "bert"})
    record = (await client.delete("/models/jobs/job-1")).json()
    assert (record["cancelled"], record["processed"]) == (True, True)
    for call in (client.get, client.delete):
        answer = await call("/models/jobs/job-2")
        assert (answer.status_code, "job-2" in answer.json()["error"]["message"]) == (404, True)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "mill:8080"}, "http://mill:8080"),
        ({"host": "mill", "x-forwarded-proto": "https", "x-forwarded-host": "a.example"}, "https://a.example"),
        ({"x-forwarded-prefix": "/text/mill/"}, "http://server/text/mill"),
        ({"x-forwarded-prefix": "//evil.example"}, "http://server"),
        ({"x-forwarded-prefix": "/../x"}, "http://server"),
        ({"x-forwarded-proto": "javascript", "x-forwarded-host": 'a"><b'}, "http://server"),
    ],
)
async def test_the_status_is_a_url_as_the_client_sees_the_server(
    headers: Mapping[str, str], base: str, client: httpx.AsyncClient
) -> None:
    for path in ("/models/apply", "/m/tiny/models/apply"):
        answer = await client.post(path, json={"id": "bert"}, headers=dict(headers))
        assert answer.json()["status"] == f"{base}/models/jobs/{answer.json()['uuid']}"


async def test_what_the_galleries_have_is_listed(client: httpx.AsyncClient) -> None:
    gallery = {"name": "test", "url": "https://gallery.example/index.yaml"}
    assert (await client.get("/models/galleries")).json() == [gallery]
    [entry] = (await client.get("/models/available")).json()
    assert (entry["name"], entry["installed"], entry["backend"]) == ("bert", False, "llama")
    assert (entry["tags"], entry["gallery"]) == (["tiny"], gallery)
    assert entry["files"][0]["filename"] == "bert.gguf"


async def test_without_an_installer_nothing_is_there(settings: HttpSettings, model: RecordingModel) -> None:
    transport = httpx.ASGITransport(create_app(RecordingStore(model), settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/models/apply", "/models/import-uri", "/models/delete/tiny", "/models/jobs", "/models/available"):
            assert (await client.post(path, json={"id": "a"})).status_code == 404
        for path in ("/models/jobs", "/models/jobs/1", "/models/available", "/models/galleries"):
            answer = await client.get(path)
            assert (answer.status_code, "nothing is served" in answer.text) == (404, True)
        assert (await client.get("/models/tiny")).status_code == 200
        assert not [
            path for path in (await client.get("/openapi.json")).json()["paths"] if "jobs" in path or "apply" in path
        ]


async def test_jobs_begin_and_end_with_the_app(
    settings: HttpSettings, model: RecordingModel, installer: RecordingInstaller
) -> None:
    app = create_app(RecordingStore(model), settings, Telemetry(), installer=installer)
    async with app.router.lifespan_context(app):
        assert (installer.began, installer.ended) == (True, False)
    assert installer.ended
