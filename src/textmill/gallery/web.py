"""The HTTP client of this room: guarded, bounded, and with errors that say what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from textmill.errors import DownloadFailed, InvalidInput, ModelNotFound, TextmillError
from textmill.gallery.access import Access, host_and_port, shown
from textmill.gallery.guard import Guard, Resolve, system_addresses
from textmill.gallery.retry import Interrupted, patiently
from textmill.gallery.stop import Stop

if TYPE_CHECKING:
    import httpx

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_ABSENT = frozenset({404, 410})
_CLOSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body has not been read. ``linked`` are the headers of the redirect that says what it leads to, if any does."""

    status: int
    headers: Mapping[str, str]
    linked: Mapping[str, str]
    _response: httpx.Response = field(repr=False)

    @property
    def encoded(self) -> bool:
        """Whether the server compresses although it was asked not to; its lengths and ranges then mean nothing."""
        return self.headers.get("content-encoding", "identity").lower() not in ("", "identity")

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes; raises Interrupted where the connection breaks, ends too early or stalls."""
        with _translated(str(self._response.url)):
            yield from self._response.iter_bytes() if self.encoded else self._response.iter_raw()


@dataclass(frozen=True, slots=True)
class Small:
    """A whole response of bounded size."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web:
    """GET, with the guard on every connection. The hub's token goes to the hub only."""

    def __init__(self, access: Access, resolve: Resolve = system_addresses) -> None:
        from textmill.gallery.transport import GuardedTransport  # noqa: PLC0415 - as `_httpx`

        library = _httpx()
        self.access = access
        patience = access.patience
        self._hub = host_and_port(access.endpoint)
        self._client: httpx.Client = library.Client(
            transport=GuardedTransport(Guard(access.trusted_hosts, resolve), access.proxy, access.unproxied),
            timeout=library.Timeout(patience.stall, connect=patience.connect),
            follow_redirects=True,
            max_redirects=10,
            trust_env=False,
            headers={"User-Agent": "textmill", "Accept-Encoding": "identity"},
        )

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str], stop: Stop) -> Iterator[Answer]:
        """A response, open within the block.

        Raises Interrupted for what may pass, InvalidInput for a URL that must not be fetched.
        """
        if self.access.offline:
            msg = f"textmill is offline and does not fetch {shown(url)}"
            raise DownloadFailed(msg)
        if self.access.fault:
            raise DownloadFailed(self.access.fault)
        sent = dict(headers)
        if self.access.token and host_and_port(url) == self._hub and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self.access.token}"
        sockets = _Sockets()
        with stop.interrupting(sockets.shut):
            with _translated(url):
                request = self._client.build_request("GET", url, headers=sent, extensions={"trace": sockets.note})
                response = self._client.send(request, stream=True)
            try:
                seen = (each.headers for each in (*response.history, response))
                linked = next((headers for headers in seen if "x-linked-etag" in headers), response.headers)
                yield Answer(response.status_code, response.headers, linked, response)
            finally:
                with suppress(_httpx().HTTPError):
                    response.close()

    def get(
        self,
        url: str,
        *,
        limit: int,
        stop: Stop,
        headers: Mapping[str, str] | None = None,
        accepted: frozenset[int] = frozenset(),
    ) -> Small:
        """A small file, tried again as often as the patience allows. Statuses other than 200 and ``accepted`` are errors."""

        def attempt() -> Small:
            with self.stream(url, headers or {}, stop) as answer:
                if answer.status not in accepted:
                    refuse_status(answer, url)
                body = bytearray()
                for chunk in answer.chunks():
                    body += chunk
                    if len(body) > limit:
                        msg = f"{shown(url)} is larger than {limit:,} bytes, the most that such a file may have"
                        raise InvalidInput(msg, param="url")
                return Small(answer.status, answer.headers, bytes(body))

        return patiently(attempt, patience=self.access.patience, stop=stop, what=f"fetching {shown(url)}")

    def close(self) -> None:
        """Close what is open."""
        self._client.close()


class _Sockets:
    """The sockets of a request, so that another thread can wake whoever waits for them."""

    def __init__(self) -> None:
        self._found: list[socket.socket] = []
        self._is_shut = False

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Take what httpcore tells of new connections (httpx's extension trace)."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self._found.append(found)
                if self._is_shut:
                    self.shut()

    def shut(self) -> None:
        """Wake all, and those that come later at once."""
        self._is_shut = True
        for each in self._found:
            with suppress(OSError):
                # Not the method of an SSL socket, which would change it under its reader.
                socket.socket.shutdown(each, socket.SHUT_RDWR)


def refuse_status(answer: Answer, url: str) -> None:
    """Raise for a status that is no success: Interrupted where it may pass, ModelNotFound or DownloadFailed where not."""
    status = answer.status
    if status in (200, 206):
        return
    if status in _PASSING:
        msg = f"{shown(url)} answers {status}"
        raise Interrupted(msg, retry_after=_retry_after(answer.headers.get("retry-after", "")))
    raise _final(status, shown(url))


def _final(status: int, url: str) -> TextmillError:
    if status in _ABSENT:
        return ModelNotFound(
            f"{url} does not exist (status {status}); check the spelling, the branch and the file's name"
        )
    if status in _CLOSED:
        return ModelNotFound(
            f"{url} does not exist or is not open to us (status {status}); for a gated or private repository accept its "
            f"terms and give a token"
        )
    return DownloadFailed(f"{url} answers {status}, which is no file")


def _retry_after(value: str) -> float | None:
    """Seconds, from seconds or a date (RFC 9110, 10.2.3)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Httpx's errors as ours."""
    library = _httpx()
    try:
        yield
    except (library.UnsupportedProtocol, library.InvalidURL, library.TooManyRedirects) as error:
        msg = f"{shown(url)} cannot be fetched: {error}"
        raise InvalidInput(msg, param="url") from error
    except library.TimeoutException as error:
        msg = f"{shown(url)} sends nothing ({type(error).__name__})"
        raise Interrupted(msg) from error
    except library.HTTPError as error:
        msg = f"{shown(url)}: {str(error) or type(error).__name__}"
        if "CERTIFICATE_VERIFY_FAILED" in msg:
            raise DownloadFailed(msg) from error
        raise Interrupted(msg) from error


def _httpx() -> ModuleType:
    """The library, imported when the network is first needed: it costs 0.15 s, and a server that installs nothing needs none of it."""
    import httpx  # noqa: PLC0415

    return httpx
