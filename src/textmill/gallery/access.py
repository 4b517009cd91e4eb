"""How the room may use the network: endpoints, credentials, addresses and patience, all from the operator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HUB = "https://huggingface.co"
_USER = re.compile(
    r"""\A(?:
      (?P<scheme>(?:[a-z][a-z0-9+.-]*:)?//)(?:[^/@:\[]*:(?!\d*(?:[/?\#]|\Z)).*@|[^/]*@)(?!sha256:)  # of a URL; not a port before a path
    | (?!github:)[^/:@\s]+:(?!//|\d*(?:/|\Z)).*@(?!sha256:)                                         # user:password@ alone
    | [^/:@\s]+@(?=(?:[^/:@\s]+\.[a-z]{2,}|localhost|[\d.]+|\[[^\]]*\])(?::\d+)?/|[^/:@\s]+:\d+(?:/|\Z))  # user@ before a host and a path
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits in seconds: ``connect`` for a connection, ``stall`` without a byte, ``first_wait`` before the second attempt.

    Waits double up to ``longest_wait``, which also bounds what a server may ask for. ``attempts`` counts attempts in a row that
    bring nothing new.
    """

    connect: float = 10.0
    stall: float = 60.0
    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the operator says about the network.

    ``endpoint`` is the Hugging Face hub or its mirror, ``token`` the access token for it, which nothing else gets.
    ``allowed_hosts`` (``host`` or ``host:port``) may have private addresses; all others must have public ones. ``proxy`` is the
    URL of an HTTP proxy; it resolves names then, so that only addresses written in URLs can be checked here. ``unproxied`` are
    hosts, or ends of their names, that are reached without it; ``*`` is all. Where ``fault`` says what is wrong with that, nothing is
    fetched.
    """

    endpoint: str = HUB
    token: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    unproxied: tuple[str, ...] = ()
    fault: str = ""
    offline: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    github: str = "https://raw.githubusercontent.com"
    ollama: str = "https://registry.ollama.ai"
    patience: Patience = Patience()

    @property
    def trusted_hosts(self) -> frozenset[str]:
        """The allowed hosts and those of the endpoints, which the operator has named as well."""
        named = (host_and_port(url) for url in (self.endpoint, self.github, self.ollama))
        return self.allowed_hosts | {name for name in named if name}


def host_and_port(url: str) -> str:
    """``host:port`` of a URL in lower case, with the scheme's port where it names none; empty for what is no http URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname and port else ""


def shown(url: str) -> str:
    """An address without what may be secret in it: user and password, also where it has no scheme, and the query; and without blanks around it, which `parse` takes away too."""
    bare = _USER.sub(lambda found: found["scheme"] or "", url.strip())
    return bare.partition("?")[0].partition("#")[0]
