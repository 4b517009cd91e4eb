"""What a handler gives back: a response as a whole, or one that comes bit by bit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus

from textmill.http.framing import EVENTS, Framing

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its bytes, and the name of the model that made it, for metrics."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    model: str = ""

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """All headers as ASGI takes them."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        if self.status != HTTPStatus.NO_CONTENT:  # such an answer has no length either (RFC 9110, 8.6)
            raw.append((b"content-length", b"%d" % len(self.body)))
        if self.body:
            raw.append((b"content-type", self.content_type.encode("latin-1")))
        return raw


@dataclass(frozen=True, slots=True)
class Streamed:
    """A response whose events come as they are made, each already framed; what ends the stream is put behind the last.

    ``events`` may load its model by itself.
    """

    events: AsyncGenerator[bytes]
    framing: Framing = EVENTS
