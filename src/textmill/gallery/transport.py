"""httpx's transport, connecting only to addresses that the guard has checked, on every redirect too."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from functools import cache

import httpx

from textmill.gallery.guard import Guard


class GuardedTransport(httpx.BaseTransport):
    """Resolves a request's host once, checks the addresses and connects to one of those: no second look-up happens.

    Each request has a connection of its own. TLS is checked against the name, not the address.
    """

    def __init__(self, guard: Guard, proxy: str | None = None, unproxied: Sequence[str] = ()) -> None:
        self._guard = guard
        self._unproxied = unproxied
        # Kept connections are pooled by address, and two names with one address must not share TLS.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.HTTPTransport(verify=_tls(), limits=limits)
        self._proxy = httpx.HTTPTransport(verify=_tls(), proxy=proxy, limits=limits) if proxy else None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the first checked address that takes connections."""
        if request.url.scheme not in ("http", "https"):
            msg = f"{request.url.scheme}:// is not fetched"
            raise httpx.UnsupportedProtocol(msg, request=request)
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        if self._proxy is not None and not is_among(host, port, self._unproxied):
            self._guard.check_literal(host, port)
            return self._proxy.handle_request(request)
        try:
            addresses = self._guard.addresses(host, port)
        except OSError as error:
            msg = f"the name {host} does not resolve ({error.strerror or error})"
            raise httpx.ConnectError(msg, request=request) from error
        for address in addresses[:-1]:
            try:
                return self._inner.handle_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return self._inner.handle_request(_pinned(request, addresses[-1]))

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()
        if self._proxy is not None:
            self._proxy.close()


def is_among(host: str, port: int, names: Iterable[str]) -> bool:
    """Whether a host is one of those that NO_PROXY's entries mean: ``name``, also as the end of a longer one, ``name:port``, ``*``."""
    host = host.lower()
    for entry in names:
        name, colon, only = entry.lower().lstrip(".").rpartition(":")
        if not colon or not only.isdigit():  # an IPv6 address, or no port
            name, only = entry.lower().lstrip("."), ""
        if entry == "*" or ((host == name or host.endswith(f".{name}")) and only in ("", str(port))):
            return True
    return False


@cache
def _tls() -> ssl.SSLContext:
    """How certificates are checked; made once, as reading the authorities takes 20 ms."""
    return httpx.create_ssl_context()


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to one address; its Host header, made from the name, stays."""
    extensions = dict(request.extensions)
    if not _is_address(request.url.host):
        extensions["sni_hostname"] = request.url.host
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
