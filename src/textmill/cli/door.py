"""The listening socket: bound before models load, so that a taken port is known at once."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Mapping
from ipaddress import ip_address

from textmill.errors import ConfigInvalid


def refuse_shared(ports: Mapping[str, int | None]) -> None:
    """Raise ConfigInvalid, naming both flags, where two of these have the same port; 0 and None are no port yet."""
    seen: dict[int, str] = {}
    for flag, port in ports.items():
        if not port:
            continue
        if port in seen:
            msg = f"{seen[port]} and {flag} are both {port}; each needs a port of its own"
            raise ConfigInvalid(msg)
        seen[port] = flag


def bind(host: str, port: int, *, flag: str = "--port") -> socket.socket:
    """A TCP socket bound to the address; it refuses connections until `listen`.

    Raises ConfigInvalid, in words that name the port's ``flag``, where that cannot be.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        msg = f"the host {host!r} has no address: {error.strerror}"
        raise ConfigInvalid(msg) from error
    door = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            # Connections of a server that has just stopped would hold the port for a minute.
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
    except OSError as error:
        door.close()
        raise _refusal(error, host, port, flag) from error
    return door


def listen(door: socket.socket, flag: str = "--port") -> None:
    """Let connections in. Raises ConfigInvalid where another process has begun to listen meanwhile."""
    host, port = door.getsockname()[:2]
    try:
        door.listen(_BACKLOG)
    except OSError as error:
        raise _refusal(error, host, port, flag) from error


_BACKLOG = 2048
"""Connections that wait for the server to take them."""


def url_of(door: socket.socket) -> str:
    """The URL that the socket is reached at."""
    return f"http://{address_of(door)}"


def address_of(door: socket.socket) -> str:
    """Host and port of the socket, as in a URL."""
    host, port = door.getsockname()[:2]
    return f"[{host}]:{port}" if door.family == socket.AF_INET6 else f"{host}:{port}"


def is_exposed(door: socket.socket) -> bool:
    """Whether others than this machine may reach the socket."""
    return not ip_address(door.getsockname()[0].partition("%")[0]).is_loopback


def _refusal(error: OSError, host: str, port: int, flag: str) -> ConfigInvalid:
    reasons = {
        errno.EADDRINUSE: f"port {port} on {host} is taken; choose another with {flag}, or 0 for any free one",
        errno.EACCES: f"port {port} is reserved for the system; choose one from 1024 with {flag}",
        errno.EADDRNOTAVAIL: f"{host} is no address of this machine; choose another with --host",
    }
    return ConfigInvalid(reasons.get(error.errno or 0, f"cannot listen on {host}, port {port}: {error.strerror}"))
