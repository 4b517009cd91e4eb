"""What a caller may do: use models, manage them, or have new ones installed."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from textmill.http.failures import Forbidden, Unauthorised
from textmill.http.keys import Headers, Keys
from textmill.http.settings import HttpSettings

Right = Literal["none", "use", "manage", "install"]
"""What an operation asks of its caller: nothing, a key, the admin's key; ``install`` is ``manage`` that fetches or deletes files."""

_PORT = re.compile(r":\d+$")

_FORWARDED = b"x-forwarded-"
_RELAYED = frozenset(
    (b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip", b"x-cluster-client-ip")
)
"""Headers by which proxies say whom they ask for; so do all that begin with the former."""


class Rights:
    """Decides by the keys of the settings, see `HttpSettings`.

    Where there is an admin's key, only it manages; else every key does. Where there are none, everyone who reaches the server may
    manage, and install only where none but this machine can ask for it. A page of another origin in somebody's browser may neither,
    unless it sends a key by itself or its origin is listed; nor may one behind a name that it has made to mean this machine.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._users = Keys(settings.keys)
        self._admins = Keys(settings.admin_keys or settings.api_keys)
        self._apart = bool(settings.admin_keys)
        self._exposed = settings.exposed
        self._anyone = settings.anyone_installs
        self._origins = frozenset(settings.cors_origins) - {"*"}

    def check(self, right: Right, method: str, headers: Headers) -> None:
        """Raise Unauthorised or Forbidden unless a request with these headers has the right."""
        if right == "none":
            return
        if right == "use":
            self._users.check(headers)
            return
        self._check_admin(headers)
        if method in ("GET", "HEAD"):
            return
        if not (self._admins and self._admins.admits(headers, cookies=False)):
            self._check_origin(headers)
        if right == "install" and not self._admins and not self._anyone:
            self._check_machine(headers)

    def _check_admin(self, headers: Headers) -> None:
        if self._admins.admits(headers):
            return
        if self._apart and self._users and self._users.admits(headers):
            msg = "this key may use models, but not manage them; send the key that the server was given as --admin-key"
            raise Forbidden(msg)
        what = "the admin key" if self._apart else "the API key"
        msg = f"{what} is missing or wrong; send it as 'Authorization: Bearer KEY'"
        raise Unauthorised(msg)

    def _check_origin(self, headers: Headers) -> None:
        origin = _header(headers, b"origin")
        if origin is None or origin in self._origins:
            return
        host = _header(headers, b"host") or ""
        # Where only this machine reaches the server, a page at a name has made that name mean this machine.
        rebound = not self._admins and not self._exposed and not _is_loopback(host)
        if _authority(origin) == host and not rebound:
            return
        msg = "a page of another origin may not manage models; name it with --cors-origin, or have it send a key in a header"
        raise Forbidden(msg)

    def _check_machine(self, headers: Headers) -> None:
        # A name as the host is that of a proxy, or of a page that has made its own name mean this machine. A proxy that puts
        # our address there gives itself away by the headers that it adds, as most do.
        relayed = any(name in _RELAYED or name.startswith(_FORWARDED) for name, _ in headers)
        if self._exposed or relayed or not _is_loopback(_header(headers, b"host") or ""):
            msg = (
                "without a key, models are installed and deleted only for programs on the same machine, of a server that listens to "
                "no other (--host 127.0.0.1); start the server with --admin-key or --api-key, or, where everyone who reaches it "
                "may install and delete, with --allow-insecure-public-bind"
            )
            raise Forbidden(msg)


def _header(headers: Headers, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), None)


def _authority(origin: str) -> str | None:
    """Host and port of an origin; none of what is not one, as ``null``."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    name = _PORT.sub("", host).strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
