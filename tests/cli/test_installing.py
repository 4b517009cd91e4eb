"""A server that installs models while it runs, and that dies meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.http.live import serving

from textmill.testing.checkpoints import tiny_bert
from textmill.testing.fileserver import Fault, FileServer, file_server


def offer(server: FileServer, folder: Path) -> str:
    """Have a file server serve a tiny model and a gallery with it; gives the option for the gallery."""
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = f"weights/{path.relative_to(folder)}"
            server.files[f"/{name}"] = path.read_bytes()
            files.append({"filename": name, "uri": server.url(f"/{name}")})
    entry = {"name": "mill", "config_file": {"parameters": {"model": "weights"}}, "files": files}
    server.files["/index.yaml"] = yaml.safe_dump([entry]).encode()
    return f"test={server.url('/index.yaml')}"


def ended(client: httpx.Client, uuid: str) -> Any:
    end = time.monotonic() + 20
    while not (record := client.get(f"/models/jobs/{uuid}").json())["processed"]:
        assert time.monotonic() < end, record
        time.sleep(0.005)
    return record


def until_bytes(path: Path, count: int) -> None:
    end = time.monotonic() + 10
    while not path.exists() or path.stat().st_size < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_model_answers_right_after_its_job_and_jobs_outlive_the_process(tmp_path: Path) -> None:
    given = tiny_bert(tmp_path / "given")
    models = tmp_path / "models"
    with file_server() as server:
        options = ("--galleries", offer(server, given), "--models-path", str(models))
        with serving(str(given), *options, TEXTMILL_OFFLINE="false") as client:
            answer = client.post("/models/apply", json={"id": "test@mill", "name": "fresh"}).json()
            assert answer["status"] == f"{str(client.base_url).rstrip('/')}/models/jobs/{answer['uuid']}"
            assert ended(client, answer["uuid"])["error"] is None
            embedded = client.post("/v1/embeddings", json={"input": "a", "model": "fresh"})
            assert (embedded.status_code, embedded.json()["model"]) == (200, "fresh")
            server.files["/large.bin"] = bytes(8 << 20)
            server.faults["/large.bin"] = [Fault(sent=4 << 20, stall=True)]
            extra = {"filename": "large.bin", "uri": server.url("/large.bin")}
            job = client.post("/models/apply", json={"id": "mill", "name": "late", "files": [extra]}).json()["uuid"]
            until_bytes(models / "large.bin.part", 1 << 20)
        # `serving` has killed it.
        assert not (models / "late.yaml").exists()
        with serving(str(given), *options, TEXTMILL_OFFLINE="false") as client:
            assert ended(client, job)["error"] is None
            assert server.asked[-1].headers["range"] != "bytes=0-"
            assert client.get("/models/late").json()["id"] == "late"
            deletion = client.post("/models/delete/late").json()["uuid"]
            assert ended(client, deletion)["deletion"]
            assert client.get("/v1/models/late").status_code == 404


def test_weights_that_the_server_uses_otherwise_outlive_the_models_that_are_deleted(tmp_path: Path) -> None:
    models, elsewhere = tmp_path / "models", tmp_path / "all.yaml"
    for name in ("given", "listed"):
        tiny_bert(models / name)
        (models / f"{name}-file.yaml").write_text(f"name: {name}-file\nparameters: {{model: {name}}}\n")
    elsewhere.write_text("- name: theirs\n  parameters: {model: listed}\n")
    options = ("--models-path", str(models), "--models-config-file", str(elsewhere))
    with serving(str(models / "given"), *options) as client:
        for name in ("given", "listed"):
            assert ended(client, client.post(f"/models/delete/{name}-file").json()["uuid"])["error"] is None
            assert "is used by" in ended(client, client.post(f"/models/delete/{name}").json()["uuid"])["error"]
        for name in ("given", "theirs"):
            assert client.post("/v1/embeddings", json={"input": "a", "model": name}).status_code == 200
    assert sorted(path.name for path in models.iterdir() if not path.name.startswith(".")) == ["given", "listed"]


def test_the_endpoint_can_be_switched_off(tmp_path: Path) -> None:
    given = tiny_bert(tmp_path / "given")
    with serving(str(given), "--disable-gallery-endpoint", "--models-path", str(tmp_path / "none")) as client:
        assert client.post("/models/apply", json={"id": "a"}).status_code == 404
        assert client.get("/models/jobs").status_code == 404
    assert not (tmp_path / "none").exists()


def test_the_admins_key_comes_from_a_file_and_is_not_told(tmp_path: Path) -> None:
    given = tiny_bert(tmp_path / "given")
    (tmp_path / "admins").write_text("# for the operator\nthe-admin\n")
    options = ("--admin-key-file", str(tmp_path / "admins"), "--models-path", str(tmp_path / "none"))
    with serving(str(given), *options, TEXTMILL_API_KEY="a-user") as client:
        keys = [{"authorization": f"Bearer {key}"} for key in ("other", "a-user", "the-admin")]
        assert [client.get("/models/jobs", headers=key).status_code for key in keys] == [401, 403, 200]
        embeds = [client.post("/v1/embeddings", json={"input": "a"}, headers=key).status_code for key in keys]
        assert embeds == [401, 200, 200]
