"""CORS: which web pages may call, and what a browser hears of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_VARY = b"origin, access-control-request-method, access-control-request-headers"
_PLAIN_HEADERS = b"authorization, api-key, content-type"
_REMEMBERED_S = b"600"


class Cors:
    """Answers preflights, and says in every answer whether the page may read it.

    Without ``origins`` no page may call, and nothing is said. A page may send any header, its key too: keys are sent by
    the page's code, never by the browser itself, so that a page can only use a key that it knows.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._any = "*" in origins
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)
        self._fixed: list[tuple[bytes, bytes]] = [(b"vary", _VARY)]
        if self._any:
            self._fixed += _open_to(b"*")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not self._origins:
            await self._app(scope, receive, send)
            return
        asked = _asked(scope)
        said = self._said(asked.get(b"origin"))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            await _answer_preflight(asked, said, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *said]
            await send(message)

        await self._app(scope, receive, tell)

    def _said(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        if self._any or origin not in self._origins:
            return self._fixed
        return [*self._fixed, *_open_to(origin)]


def _asked(scope: Scope) -> Mapping[bytes, bytes]:
    return {name: value for name, value in scope["headers"] if name.startswith((b"origin", b"access-control-"))}


def _open_to(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"*")]


async def _answer_preflight(asked: Mapping[bytes, bytes], said: list[tuple[bytes, bytes]], send: Send) -> None:
    """200 for every page: what a page may not do, its browser learns from what is not said."""
    headers = [
        *said,
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", asked.get(b"access-control-request-headers") or _PLAIN_HEADERS),
        (b"access-control-max-age", _REMEMBERED_S),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
