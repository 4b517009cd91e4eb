"""Which addresses may be connected to: public ones, and those of hosts that the operator has allowed."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from textmill.errors import InvalidInput

Resolve = Callable[[str, int], Sequence[str]]
"""From a host and a port to its addresses; raises OSError where there are none."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def system_addresses(host: str, port: int) -> Sequence[str]:
    """What the system resolves a name to, each address once, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guard:
    """Decides on the address that is connected to, so that a name that changes between two look-ups gains nothing."""

    def __init__(self, allowed: frozenset[str], resolve: Resolve = system_addresses) -> None:
        self._allowed = {name.lower() for name in allowed}
        self._resolve = resolve

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host that may be connected to.

        Raises InvalidInput where it has none but private, loopback, link-local or other special ones, OSError where it has none.
        """
        found = self._resolve(host, port)
        if self.allows(host, port):
            return found
        public = [address for address in found if is_public(address)]
        if not public:
            raise InvalidInput(_refusal(host), param="url")
        return public

    def check_literal(self, host: str, port: int) -> None:
        """Raise InvalidInput for a host that is a special address by itself, where a proxy will do the resolving."""
        try:
            special = not is_public(host)
        except ValueError:
            special = host == "localhost" or host.endswith(".localhost")
        if special and not self.allows(host, port):
            raise InvalidInput(_refusal(host), param="url")

    def allows(self, host: str, port: int) -> bool:
        """Whether the operator has named this host, or this port of it."""
        return not {host.lower(), f"{host.lower()}:{port}"}.isdisjoint(self._allowed)


def is_public(address: str) -> bool:
    """Whether an IP address, also one that carries an IPv4 address inside, is reachable by everyone.

    Raises ValueError for what is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inside = _carried(ip)
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a packet to this IPv6 address would reach, where it is mapped, 6to4, Teredo or NAT64."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _refusal(host: str) -> str:
    return (
        f"{host} has a private, loopback or link-local address, which textmill does not fetch from; "
        f"the operator can allow it by --download-host {host}"
    )
