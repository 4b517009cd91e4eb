"""The way to a server of OpenAI's protocol: what goes out, streams in any shape, errors by kind, connections kept and closed."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from base64 import b64encode
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from textmill.errors import (
    ConfigInvalid,
    ContextExceeded,
    ForwardFailed,
    InvalidInput,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)
from textmill.providers.openai_wire import Patience, Retries, Target, Wire
from textmill.testing.openai_server import (
    Answer,
    Asked,
    Break,
    Script,
    Stay,
    Step,
    Wait,
    openai_server,
    threaded_openai_server,
)

KEY = "sk-very-secret-7"


def wire_to(url: str, **members: Any) -> Wire:
    return Wire(Target(base_url=url, name="the mill", key=KEY, key_setting="MILL_KEY", **members))


def always(answer: Answer) -> Script:
    return lambda _: answer


async def streamed(wire: Wire) -> list[dict[str, Any]]:
    return [each async for each in wire.stream("/chat/completions", {"a": 1})]


async def streamed_once(answer: Answer, **members: Any) -> list[dict[str, Any]]:
    async with openai_server(always(answer)) as server, wire_to(server.base_url, **members) as wire:
        return await streamed(wire)


async def kept(wire: Wire) -> None:
    """Wait until the end of a stream has come behind its last event, and the connection is free."""
    while not wire._idle:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)


async def posted(answer: Answer, **members: Any) -> dict[str, Any]:
    async with openai_server(always(answer)) as server, wire_to(server.base_url, **members) as wire:
        return await wire.post("/embeddings", {"input": "x"})


async def test_a_request_has_its_key_its_host_and_its_body() -> None:
    async with openai_server(always(Answer(body={"ok": True}))) as server:
        wire = wire_to(server.base_url, headers={"X-More": "yes"})
        assert await wire.post("/embeddings", {"input": ["ä"]}) == {"ok": True}
        assert await wire.get("/models") == {"ok": True}
        assert await wire.get_root("/health") == {"ok": True}
        await wire.close()
    first, second, third = server.asked
    assert (first.method, first.path, first.body) == ("POST", "/v1/embeddings", {"input": ["ä"]})
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["x-more"] == "yes"
    assert first.headers["host"] in server.base_url
    assert (second.method, second.path, third.path) == ("GET", "/v1/models", "/health")


async def test_a_unix_socket_is_a_way_too(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with openai_server(always(Answer(steps=[{"n": 1}])), uds=path) as server:
        wire = Wire(Target(base_url="http://localhost/v1", uds=path, idle=0))
        assert await streamed(wire) == [{"n": 1}]
        assert await streamed(wire) == [{"n": 1}]
    assert server.connections == 2
    assert server.asked[0].headers["connection"] == "close"
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    "steps",
    [
        [b'data: {"n": 1}\n\ndata: {"n": 2}\n\n'],
        [b'data: {"n"', b": 1}\n", b'\ndata: {"n": 2}\n\n'],
        [b'data: {"n": 1}\r\n\r', b'\ndata: {"n": 2}\r\n\r\n'],
        [b': a comment\n\ndata: {"n": 1}\n: more\n\n', b'event: x\nid: 7\nretry: 9\ndata:{"n": 2}\n\n'],
        [b'data: {"n":\ndata: 1}\n\ndata: {"n":\ndata: 2\ndata: }\n\n'],
    ],
)
async def test_events_come_in_any_shape(steps: list[Step]) -> None:
    assert await streamed_once(Answer(steps=steps)) == [{"n": 1}, {"n": 2}]


async def test_a_proper_end_needs_no_done_and_no_last_empty_line() -> None:
    assert await streamed_once(Answer(steps=[{"n": 1}, b'data: {"n": 2}'], done=False)) == [{"n": 1}, {"n": 2}]


async def test_what_comes_behind_done_is_not_read() -> None:
    answer = Answer(steps=[{"n": 1}, b"data: [DONE]\n\n", {"n": 2}], done=False)
    async with openai_server(always(answer)) as server, wire_to(server.base_url) as wire:
        assert await streamed(wire) == [{"n": 1}]
        await kept(wire)
        assert await streamed(wire) == [{"n": 1}]
        assert server.connections == 1


@pytest.mark.parametrize("framed", [True, False])
async def test_an_abrupt_end_is_an_error(*, framed: bool) -> None:
    answer = Answer(steps=[{"n": 1}, Break()], framed=framed)
    async with openai_server(always(answer)) as server, wire_to(server.base_url) as wire:
        events = wire.stream("/x", {})
        assert await anext(events) == {"n": 1}
        with pytest.raises(ForwardFailed, match=r"the mill.* broke off"):
            await anext(events)


async def test_an_unframed_stream_ends_with_done() -> None:
    assert await streamed_once(Answer(steps=[{"n": 1}], framed=False)) == [{"n": 1}]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"message": "no such grammar", "code": 400}, InvalidInput),
        ({"message": "too long", "type": "exceed_context_size_error"}, ContextExceeded),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, Overloaded),
        ({"message": "out of memory", "code": "500"}, ForwardFailed),
        ("it burns", ForwardFailed),
    ],
)
async def test_an_error_in_a_stream_is_raised_by_its_kind(told: Any, kind: type[TextmillError]) -> None:
    with pytest.raises(kind, match=told if isinstance(told, str) else told["message"]):
        await streamed_once(Answer(steps=[{"n": 1}, {"error": told}, Stay()]))


@pytest.mark.parametrize("steps", [[b"data: nonsense\n\n"], [b"data: [1]\n\n"]])
async def test_events_that_are_no_objects_fail(steps: list[Step]) -> None:
    with pytest.raises(ForwardFailed, match="no JSON"):
        await streamed_once(Answer(steps=steps))


async def test_closing_the_iterator_closes_the_connection() -> None:
    async with openai_server(always(Answer(steps=[{"n": 1}, Stay()]))) as server:
        async with aclosing(wire_to(server.base_url).stream("/x", {})) as events:
            assert await anext(events) == {"n": 1}
        assert await asyncio.to_thread(server.asked[0].left.wait, 5)


async def test_a_cancelled_reader_closes_the_connection() -> None:
    began = asyncio.Event()

    def script(_: Asked) -> Answer:
        began.set()
        return Answer(steps=[Stay()])

    async with openai_server(script) as server:
        task = asyncio.create_task(streamed(wire_to(server.base_url)))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.asked[0].left.wait, 5)


async def test_a_reader_that_is_slow_gets_everything() -> None:
    """More than the buffer holds, while nobody reads."""
    many: list[Step] = [{"n": number, "text": "x" * 20_000} for number in range(100)]
    async with openai_server(always(Answer(steps=many))) as server:
        numbers: list[int] = []
        async with aclosing(wire_to(server.base_url).stream("/x", {})) as events:
            async for each in events:
                if not numbers:
                    for _ in range(200):
                        await asyncio.sleep(0)
                numbers.append(each["n"])
        assert numbers == list(range(100))


async def test_connections_are_used_again_and_by_one_request_at_a_time() -> None:
    async with openai_server(always(Answer(steps=[{"n": 1}]))) as server, wire_to(server.base_url) as wire:
        for _ in range(3):
            await streamed(wire)
            await kept(wire)
        assert server.connections == 1
        await asyncio.gather(*(streamed(wire) for _ in range(3)))
        assert server.connections == 3


async def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    answer = Answer(body={"n": 1}, close=True)
    async with openai_server(always(answer)) as server, wire_to(server.base_url) as wire:
        for _ in range(4):
            assert await wire.post("/x", {}) == {"n": 1}
        assert len(server.asked) == 4


async def test_a_connection_of_another_loop_is_not_used() -> None:
    with threaded_openai_server(always(Answer(body={"n": 1}))) as server:
        wire = wire_to(server.base_url)

        async def once() -> None:
            async with wire:
                assert await wire.post("/x", {}) == {"n": 1}

        assert await wire.post("/x", {}) == {"n": 1}
        await asyncio.to_thread(lambda: asyncio.run(once()))
        assert server.connections == 2


@pytest.mark.parametrize("steps", [[Wait(5)], [{"n": 1}, Wait(5)]])
async def test_a_silent_server_is_given_up(steps: list[Step]) -> None:
    with pytest.raises(ForwardFailed, match=r"silent for 0\.1 seconds"):
        await streamed_once(Answer(steps=steps), patience=Patience(read_s=0.1))


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached: there is no such socket"):
        await Wire(Target(base_url="http://x/v1", uds=str(tmp_path / "none"))).post("/x", {})
    with pytest.raises(
        Unavailable, match=r"the mill at 127\.0\.0\.1:1 cannot be reached: it refuses the connection; does it run"
    ):
        await wire_to("http://127.0.0.1:1/v1").post("/x", {})


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (400, {"error": {"message": "bad role", "param": "messages"}}, InvalidInput, "the mill refuses .*: bad role"),
        (422, {"detail": [{"loc": ["body"], "msg": "wrong"}]}, InvalidInput, "wrong"),
        (404, {"error": {"message": "no model m"}}, InvalidInput, "no model m"),
        (404, b"<html>", Unavailable, "answered 404 to .*/embeddings.* address"),
        (413, {"error": {"message": "too big"}}, InvalidInput, "too big"),
        (429, {"error": {"message": "quota"}}, Overloaded, "quota"),
        (500, {"error": {"message": "boom"}}, ForwardFailed, "status 500.*boom"),
        (500, b"<html>", ForwardFailed, "status 500"),
        (501, {"error": {"message": "no embeddings"}}, WrongTask, "no embeddings"),
        (503, {"error": {"message": "loading"}}, Unavailable, "loading"),
        (302, b"", Unavailable, "302"),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind(status: int, body: Any, kind: type[TextmillError], says: str) -> None:
    with pytest.raises(kind, match=says) as raised:
        await posted(Answer(status=status, body=body))
    assert type(raised.value) is kind
    if isinstance(raised.value, InvalidInput):
        assert raised.value.param == ("messages" if status == 400 else None)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "wait"), [({"Retry-After": "7"}, 7), ({"Retry-After": "0"}, 1), ({"retry-after-ms": "2500"}, 2.5)]
)
async def test_an_overloaded_server_says_when_to_come_back(status: int, headers: dict[str, str], wait: float) -> None:
    with pytest.raises(Overloaded) as raised:
        await posted(Answer(status=status, body={"error": {"message": "later"}}, headers=headers))
    assert raised.value.retry_after == wait


def refusing(times: int, answer: Answer) -> tuple[Script, list[Asked]]:
    """Gives that answer so often, then a good one."""
    seen: list[Asked] = []

    def script(asked: Asked) -> Answer:
        seen.append(asked)
        return answer if len(seen) <= times else Answer(body={"ok": True})

    return script, seen


@pytest.mark.parametrize("status", [429, 503])
async def test_a_request_goes_out_again_when_the_server_says(status: int) -> None:
    script, seen = refusing(
        2, Answer(status=status, body={"error": {"message": "later"}}, headers={"Retry-After": "0"})
    )
    async with openai_server(script) as server, wire_to(server.base_url, retries=Retries(times=2)) as wire:
        assert await wire.post("/x", {}) == {"ok": True}
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("status", "headers", "retries"),
    [
        (429, {"Retry-After": "0"}, Retries(times=1)),
        (429, {"Retry-After": "9"}, Retries(times=5, seconds=5)),
        (429, {"Retry-After": "0", "x-should-retry": "false"}, Retries(times=5)),
        (503, {}, Retries(times=5)),
        (500, {"Retry-After": "0"}, Retries(times=5)),
        (400, {"Retry-After": "0"}, Retries(times=5)),
    ],
)
async def test_a_request_does_not_go_out_again_for_ever(status: int, headers: dict[str, str], retries: Retries) -> None:
    script, seen = refusing(9, Answer(status=status, body={"error": {"message": "later"}}, headers=headers))
    async with openai_server(script) as server, wire_to(server.base_url, retries=retries) as wire:
        with pytest.raises(TextmillError, match="later"):
            await wire.post("/x", {})
    assert len(seen) == 1 + (retries.times == 1)


async def test_a_server_that_comes_up_late_is_reached(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    wire = Wire(Target(base_url="http://x/v1", uds=path, idle=0, retries=Retries(times=3)))
    asked = asyncio.create_task(wire.post("/x", {}))
    await asyncio.sleep(0)
    async with openai_server(always(Answer(body={"ok": True})), uds=path):
        assert await asked == {"ok": True}


async def test_nothing_goes_out_again_once_something_has_come() -> None:
    async with (
        openai_server(always(Answer(steps=[{"n": 1}, Break()]))) as server,
        wire_to(server.base_url, retries=Retries(times=5)) as wire,
    ):
        with pytest.raises(ForwardFailed):
            await streamed(wire)
        assert len(server.asked) == 1


async def test_a_key_may_have_a_header_of_its_own() -> None:
    async with (
        openai_server(always(Answer(body={}))) as server,
        wire_to(server.base_url, key_header="api-key") as wire,
    ):
        await wire.post("/x", {})
        assert server.asked[0].headers["api-key"] == KEY
        assert "authorization" not in server.asked[0].headers


async def test_a_prompt_that_is_too_long_is_told_with_both_numbers() -> None:
    told = {"code": 400, "type": "exceed_context_size_error", "message": "m", "n_prompt_tokens": 900, "n_ctx": 512}
    with pytest.raises(ContextExceeded, match="the prompt has 900 tokens, and the context of the mill holds 512"):
        await posted(Answer(status=400, body={"error": told}))


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_no_error_has_the_key(status: int) -> None:
    with pytest.raises(TextmillError) as raised:
        await posted(Answer(status=status, body={"error": {"message": f"key {KEY} or sk-proj-abcdef… is bad"}}))
    told = f"{raised.value} {raised.value!r} {raised.value.__cause__!r}"
    assert KEY not in told
    assert "abcdef" not in told
    assert ("MILL_KEY" in told) == (status in (401, 403))
    target = Target(base_url="http://x/v1", key=KEY, headers={"X-Key": KEY})
    assert KEY not in f"{target!r} {Wire(target)!r} {Wire(target).server!r}"


async def test_a_server_without_its_key_says_what_to_set() -> None:
    async with openai_server(always(Answer(status=401, body={"error": {"message": "no"}}))) as server:
        wire = Wire(Target(base_url=server.base_url, name="the mill", key_setting="MILL_KEY", idle=0))
        with pytest.raises(Unavailable, match="wants a key; set MILL_KEY"):
            await wire.post("/x", {})


@pytest.mark.parametrize("body", [b"nonsense", [1], {"error": {"message": "odd", "code": 500}}])
async def test_a_good_status_with_a_bad_body_fails(body: Any) -> None:
    with pytest.raises(ForwardFailed):
        await posted(Answer(body=body))


async def test_a_whole_answer_to_a_stream_fails_or_says_its_error() -> None:
    async with openai_server(always(Answer(body={"choices": []}))) as server, wire_to(server.base_url) as wire:
        with pytest.raises(ForwardFailed, match="asked for a stream"):
            await streamed(wire)
        server.script = always(Answer(body={"error": {"message": "odd", "code": 400}}))
        with pytest.raises(InvalidInput, match="odd"):
            await streamed(wire)


@pytest.mark.parametrize(
    "url", ["", "mill", "ftp://mill/v1", "http://", "http://u:p@mill/v1", "http://mill:x/v1", "http://m/v1?a"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="no URL"):
        Wire(Target(base_url=url))


@pytest.fixture
def certified(tmp_path: Path) -> ssl.SSLContext:
    """What a server called localhost shows; its certificate is the file crt."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")]
    subprocess.run(made, check=True, capture_output=True)  # noqa: S603 - ours
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    return context


async def test_tls_is_spoken_to_servers_that_are_trusted(
    certified: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_server(always(Answer(steps=[{"n": 1}])), tls=certified) as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unavailable, match=r"cannot be reached: its certificate is not trusted \(self"):
            await Wire(Target(base_url=url, idle=0)).post("/x", {})
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
        wire = Wire(Target(base_url=url, idle=0))
        assert await streamed(wire) == [{"n": 1}]
        with pytest.raises(Unavailable, match="cannot be reached"):
            await Wire(Target(base_url=server.base_url, idle=0)).post("/x", {})  # it is not called 127.0.0.1


async def test_tls_goes_through_a_proxy(
    certified: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
    heads: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(9999):
                writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if b"Basic" not in heads[-1]:
            writer.write(b"HTTP/1.1 407 Who are you\r\n\r\n")
            writer.close()
            return
        host, port = heads[-1].split()[1].decode().split(":")
        there, towards = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pipe(reader, towards), pipe(there, writer))

    between = await asyncio.start_server(proxy, "127.0.0.1", 0)
    at = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
    async with openai_server(always(Answer(steps=[{"n": 1}])), tls=certified) as server, between:
        url = server.base_url.replace("127.0.0.1", "localhost")
        wire = Wire(Target(base_url=url, idle=0, key=KEY, proxy=f"http://us%40er:pass@{at}"))
        assert await streamed(wire) == [{"n": 1}]
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        with pytest.raises(Unavailable, match="the proxy answered 407"):
            await Wire(Target(base_url=url, idle=0, proxy=f"http://{at}")).post("/x", {})
        await asyncio.sleep(0)
    assert heads[0].startswith(b"CONNECT localhost:")
    assert b64encode(b"us@er:pass") in heads[0]
    assert KEY.encode() not in b"".join(heads)


def test_a_key_that_would_end_its_header_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="the key of MILL_KEY") as raised:
        Wire(Target(base_url="http://x/v1", key="secret\r\nX: y", key_setting="MILL_KEY"))
    assert "secret" not in str(raised.value)
