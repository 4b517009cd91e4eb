from __future__ import annotations

import httpx

from textmill.testing.served import RecordingModel


async def test_what_is_loaded_is_told(client: httpx.AsyncClient, model: RecordingModel) -> None:
    assert (await client.get("/system")).json() == {
        "backends": [model.info.runtime],
        "loaded_models": [{"id": "tiny", "backend": model.info.runtime}],
    }
    assert (await client.get("/version")).json() == {"version": "0.0.0"}


async def test_models_are_loaded_and_unloaded_by_name(client: httpx.AsyncClient) -> None:
    for path in ("/backend/load", "/v1/backend/load"):
        answer = await client.post(path, json={"model": "tiny"})
        assert answer.json() == {"loaded": ["tiny"], "message": "tiny is loaded"}
    answer = await client.post("/backend/shutdown", json={"model": "tiny"})
    assert answer.json() == {"message": "tiny is unloaded"}
    answer = await client.post("/v1/backend/shutdown", json={"model": "tiny"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "tiny is not loaded")


async def test_an_unknown_model_or_none_is_refused(client: httpx.AsyncClient) -> None:
    for path in ("/backend/load", "/backend/shutdown"):
        assert (await client.post(path, json={"model": "other"})).status_code == 404
        assert (await client.post(path, json={"model": ""})).status_code == 400
        assert (await client.post(path, json={})).status_code == 400


async def test_the_probes_have_localais_names_too(client: httpx.AsyncClient) -> None:
    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
