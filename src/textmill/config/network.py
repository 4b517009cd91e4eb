"""What the environment says of the way to the network, by the names that other tools read it by."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from textmill.config.sources import Environ, environ_or
from textmill.errors import ConfigInvalid

_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")
"""As curl reads them. HTTP_PROXY in capitals is left out: a CGI server makes it of a client's header."""


def hub_endpoint(environ: Environ | None = None) -> str:
    """The Hugging Face hub, or the mirror that HF_ENDPOINT names; HF_MIRROR is LocalAI's name for it.

    Raises ConfigInvalid for what is no URL.
    """
    environ = environ_or(environ)
    variable, value = _first(environ, ("HF_ENDPOINT", "HF_MIRROR"))
    if not value:
        return "https://huggingface.co"
    if variable == "HF_MIRROR" and "://" not in value:
        value = f"https://{value}"
    return _checked(value, variable, "https://host:port").rstrip("/")


def download_proxy(environ: Environ | None = None) -> str | None:
    """The proxy for downloads; None where there is none of HTTP, since SOCKS needs packages. Raises ConfigInvalid for what is no URL."""
    given = environ_or(environ)
    variable, value = _first(given, (name for name in _PROXIES if not given.get(name, "").startswith("socks")))
    if not value:
        return None
    return _checked(value if "://" in value else f"http://{value}", variable, "http://host:port")


def unproxied_hosts(environ: Environ | None = None) -> tuple[str, ...]:
    """The hosts that NO_PROXY names."""
    _, value = _first(environ_or(environ), ("no_proxy", "NO_PROXY"))
    return tuple(part.strip() for part in value.split(",") if part.strip())


def network_fault(environ: Environ | None = None) -> str:
    """What is wrong with the hub's address or the proxy, so that nothing can be fetched; empty where nothing is."""
    environ = environ_or(environ)
    for read in (hub_endpoint, download_proxy):
        try:
            read(environ)
        except ConfigInvalid as error:
            return str(error)
    return ""


def proxy_for(host: str, environ: Environ | None = None) -> str | None:
    """The proxy for HTTPS to a host; None where there is none of HTTP, or NO_PROXY has the host or a domain of it."""
    name = host.lower().rstrip(".")
    for part in unproxied_hosts(environ):
        domain = part.lower().partition(":")[0].removeprefix("*").lstrip(".")
        if part == "*" or name == domain or (domain and name.endswith(f".{domain}")):
            return None
    return download_proxy(environ)


def _first(environ: Environ, variables: Iterable[str]) -> tuple[str, str]:
    """The first variable that is set to something, and its value; empty where none is."""
    return next(((name, value) for name in variables if (value := environ.get(name, "").strip())), ("", ""))


def _checked(url: str, variable: str, example: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        msg = f"{variable} is no URL of http or https; give it one, such as {example}, or unset it"
        raise ConfigInvalid(msg)
    return url
