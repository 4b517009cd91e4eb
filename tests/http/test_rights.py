"""Who may do what: use, manage, install."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx
import pytest

from textmill.testing.installer import RecordingInstaller

Connect = Callable[..., httpx.AsyncClient]

ADMIN = {"authorization": "Bearer the-admin"}
USER = {"authorization": "Bearer a-user"}
WISH = {"id": "bert"}
HERE = "http://127.0.0.1:8080"
MANAGED = ("/system", "/backend/monitor?model=tiny", "/models/jobs", "/models/available", "/models/galleries")


async def apply(
    client: httpx.AsyncClient, headers: Mapping[str, str] | None = None, base: str = HERE
) -> httpx.Response:
    return await client.post(f"{base}/models/apply", json=WISH, headers=dict(headers or {}))


async def test_with_an_admin_key_only_it_manages(connect: Connect, installer: RecordingInstaller) -> None:
    client = connect(api_keys=("a-user",), admin_keys=("the-admin",), exposed=True)
    for path in MANAGED:
        assert [(await client.get(path, headers=keys)).status_code for keys in ({}, USER, ADMIN)] == [401, 403, 200]
    for path, body in (
        ("/backend/load", {"model": "tiny"}),
        ("/models/apply", WISH),
        ("/models/import-uri", {"uri": "owner/repo"}),
        ("/models/delete/tiny", None),
        ("/backend/shutdown", {"model": "tiny"}),
    ):
        answers = [await client.post(path, json=body, headers=keys) for keys in ({}, USER, ADMIN)]
        assert [answer.status_code for answer in answers] == [401, 403, 200]
        assert "--admin-key" in answers[1].text
    assert (await client.delete("/models/jobs/job-1", headers=USER)).status_code == 403
    assert len(installer.wishes) == 3
    for keys in (USER, ADMIN):
        assert (await client.post("/v1/embeddings", json={"input": "a"}, headers=keys)).status_code == 200


async def test_an_admin_key_alone_leaves_the_models_open(connect: Connect) -> None:
    client = connect(admin_keys=("the-admin",))
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status_code == 200
    assert [(await client.get("/system", headers=keys)).status_code for keys in ({}, USER, ADMIN)] == [401, 401, 200]


async def test_without_an_admin_key_every_key_manages(connect: Connect) -> None:
    client = connect(api_keys=("a-user",), exposed=True)
    assert [(await apply(client, keys)).status_code for keys in ({}, ADMIN, USER)] == [401, 401, 200]


@pytest.mark.parametrize("base", [HERE, "http://localhost:1", "http://[::1]:8080", "http://127.9.9.9"])
async def test_without_keys_this_machine_may_install(base: str, connect: Connect) -> None:
    assert (await apply(connect(), base=base)).status_code == 200


@pytest.mark.parametrize(
    ("exposed", "base"),
    [
        (True, HERE),
        (True, "http://10.0.0.7:3000"),
        (False, "http://evil.example"),
        (False, "http://localhost.evil.example"),
    ],
)
async def test_without_keys_others_may_not_install(
    exposed: bool,  # noqa: FBT001 - a case
    base: str,
    connect: Connect,
    installer: RecordingInstaller,
) -> None:
    client = connect(exposed=exposed)
    for answer in (
        await apply(client, base=base),
        await client.post(f"{base}/models/delete/tiny"),
        await client.post(f"{base}/models/import-uri", json={"uri": "owner/repo"}),
        await client.delete(f"{base}/models/jobs/job-1"),
    ):
        assert answer.status_code == 403
        assert "--admin-key" in answer.json()["error"]["message"]
    assert installer.wishes == []
    # What fetches and deletes nothing stays open, as it was.
    assert (await client.get(f"{base}/models/jobs")).status_code == 200
    assert (await client.post(f"{base}/backend/load", json={"model": "tiny"})).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server"),
        *("X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Cluster-Client-IP"),
    ],
)
async def test_a_proxy_that_puts_our_address_as_the_host_gives_itself_away(name: str, connect: Connect) -> None:
    assert (await apply(connect(), {name: "10.0.0.7"})).status_code == 403
    assert (await apply(connect(api_keys=("a-user",)), USER | {name: "10.0.0.7"})).status_code == 200


async def test_a_page_behind_a_rebound_name_manages_nothing_without_a_key(connect: Connect) -> None:
    evil = "http://evil.example:8080"

    async def load(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
        return (await client.post(f"{evil}/backend/load", json={"model": "tiny"}, headers=headers)).status_code

    assert await load(connect(), {"origin": evil}) == 403
    assert await load(connect(), {}) == 200  # a program behind a proxy that passes the host on
    assert await load(connect(exposed=True), {"origin": evil}) == 200
    assert await load(connect(cors_origins=(evil,)), {"origin": evil}) == 200
    assert await load(connect(api_keys=("a-user",)), {"origin": evil, "cookie": "token=a-user"}) == 200


@pytest.mark.parametrize("origin", ["http://[x", "null", ""])
async def test_what_is_no_origin_is_refused_as_another_one(origin: str, connect: Connect) -> None:
    assert (await apply(connect(), {"origin": origin})).status_code == 403


async def test_an_option_lets_everyone_install(connect: Connect) -> None:
    assert (await apply(connect(exposed=True, anyone_installs=True), base="http://mill:3000")).status_code == 200


async def test_a_page_of_another_origin_manages_nothing_by_itself(connect: Connect) -> None:
    page, own = {"origin": "https://evil.example"}, {"origin": HERE}
    client = connect()
    for body in ({"model": "tiny"},):
        assert (await client.post(f"{HERE}/backend/load", json=body, headers=page)).status_code == 403
    assert [(await apply(client, headers)).status_code for headers in (page, {"origin": "null"}, own)] == [
        403,
        403,
        200,
    ]
    assert (await apply(connect(cors_origins=("*",)), page)).status_code == 403
    assert (await apply(connect(cors_origins=("https://evil.example",)), page)).status_code == 200


async def test_a_cookie_does_not_speak_for_another_page_and_a_header_does(connect: Connect) -> None:
    client = connect(api_keys=("a-user",))
    page = {"origin": "https://evil.example"}
    assert (await apply(client, page | {"cookie": "token=a-user"})).status_code == 403
    assert (await apply(client, {"cookie": "token=a-user"})).status_code == 200
    assert (await apply(client, page | USER)).status_code == 200


async def test_a_wrong_method_on_a_managed_path_needs_the_right_first(connect: Connect) -> None:
    client = connect(api_keys=("a-user",), admin_keys=("the-admin",))
    answers = [await client.put("/models/apply", headers=keys) for keys in ({}, USER, ADMIN)]
    assert [answer.status_code for answer in answers] == [401, 403, 405]
    assert answers[-1].headers["allow"] == "POST"
