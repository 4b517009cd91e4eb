"""The port of the gRPC server: on the host that was given, and on no other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from textmill.errors import ConfigInvalid

_ALL_IPV4 = "0.0.0.0"  # noqa: S104 - it is compared with


def listen(server: Any, address: str) -> int:
    """Let a server of grpcio's listen on an address, host:port; the port. Raises ConfigInvalid where it is taken.

    grpcio takes 0.0.0.0 for all addresses of IPv6 too. Here it means IPv4 alone, as everywhere else, unless the port is 0;
    ``[::]`` means both.
    """
    host, _, port = address.rpartition(":")
    try:
        _try(host.strip("[]"), int(port))
        with _ipv6_taken(int(port)) if host == _ALL_IPV4 else nullcontext():
            return int(server.add_insecure_port(address))
    except (OSError, RuntimeError) as error:
        msg = f"cannot listen for gRPC on {address}; another process may have taken it: choose another --grpc-port"
        raise ConfigInvalid(msg) from error


def _try(host: str, port: int) -> None:
    """Raise OSError where another process listens: grpcio would, too, but not without a line of its own in the log."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind(address)


@contextmanager
def _ipv6_taken(port: int) -> Iterator[None]:
    """While this lasts nobody gets this port of IPv6: grpcio tries both families at once, and then is left with IPv4."""
    with ExitStack() as held:
        with suppress(OSError):  # there is no IPv6, or another process has the port: grpcio is kept away without us
            holder = held.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Connections that have just ended must not be in the way; grpcio sets that too, and only who listens keeps it out.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("::", port))
            holder.listen(1)
        yield
