"""What checks of clients are made of: servers, other people's packages, and what must hold."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

TEXTS = ["a mill grinds grain", "the river is high in spring", "stones are heavy"]
QUERY = "what turns the wheel?"
NEAR = 1e-4


class Missing(Exception):
    """A client's package is not installed; the message says which."""


@dataclass(frozen=True)
class Servers:
    """Where the servers are, by what their models do: URLs for HTTP, host and port for gRPC."""

    urls: Mapping[str, str]
    targets: Mapping[str, str]

    def post(self, name: str, path: str, body: object) -> Any:
        """Plain JSON over HTTP: what the clients' results are held against."""
        request = urllib.request.Request(  # noqa: S310 - our own
            self.urls[name] + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def vectors(self, texts: list[str], **more: object) -> Any:
        """What /embed gives for these texts."""
        return self.post("embed", "/embed", {"inputs": texts, **more})


def package(name: str, pip: str) -> Any:
    """A client's module. Raises Missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        msg = f"left out: pip install {pip}"
        raise Missing(msg) from error


def same(made: Any, due: Any) -> None:
    """Raise AssertionError unless both have the same shape and nearly the same numbers."""
    numpy = package("numpy", "numpy")
    left, right = numpy.asarray(made, dtype=float), numpy.asarray(due, dtype=float)
    must(left.shape == right.shape, f"shape {left.shape} where {right.shape} was due")
    must(numpy.abs(left - right).max() < NEAR, f"other numbers, by up to {numpy.abs(left - right).max():.3g}")


def must(holds: object, what: object) -> None:
    """Raise AssertionError unless it holds."""
    if not holds:
        raise AssertionError(what)


@dataclass(frozen=True)
class Check:
    """Something that a client does: whose it is (a package of PyPI), on which routes, and how it is tried.

    ``run`` raises what it finds, and Missing where the package is not here. What needs a gRPC port says ``grpc``.
    """

    client: str
    what: str
    routes: str
    run: Callable[[Servers], None]
    grpc: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.client}: {self.what}"

    @property
    def version(self) -> str:
        """Of the client that is here; empty where none is."""
        try:
            return metadata.version(self.client)
        except metadata.PackageNotFoundError:
            return ""

    def carry_out(self, servers: Servers) -> None:
        """Run it. Raises Missing where the client's own package is not here, whatever else of its family is."""
        if not self.version:
            msg = f"left out: pip install {self.client}"
            raise Missing(msg)
        self.run(servers)
