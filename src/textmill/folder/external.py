"""Backends that run as processes of their own and speak LocalAI's gRPC: what ``EXTERNAL_GRPC_BACKENDS`` says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from textmill.errors import ConfigInvalid
from textmill.folder.backends import NAME

_ADDRESS = re.compile(r"(?:(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}|unix:.+|dns:.+)")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class External:
    """A backend's process: at an ``address`` for gRPC, or to be started from a ``script`` with the flag --addr."""

    name: str
    address: str = ""
    script: Path | None = None


def external_backends(text: str, *, where: str = "EXTERNAL_GRPC_BACKENDS") -> Mapping[str, External]:
    """The backends of a list such as ``mine:127.0.0.1:50051,other:/path/run.py``, by their names in lower case.

    A name may stand there again; the last one counts. Raises ConfigInvalid, with ``where`` it stands, for an entry that is
    neither, and for a script that is not there or cannot be run.
    """
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, uri = (part.strip() for part in entry.partition(":"))
        if not colon or not NAME.fullmatch(name) or not uri:
            msg = f"{where} has an entry that is not NAME:HOST:PORT or NAME:FILE"
            raise ConfigInvalid(msg)
        found[name.lower()] = external_backend(name, uri, where=where)
    return MappingProxyType(found)


def external_backend(name: str, uri: str, *, where: str) -> External:
    """One such backend; raises ConfigInvalid as `external_backends` does."""
    path = Path(uri.removeprefix("file://")).expanduser()
    if path.is_file():
        if path.suffix != ".py" and not os.access(path, os.X_OK):
            msg = f"{where}: the file {uri} of the backend {name} is no .py file and cannot be executed; chmod +x {uri}"
            raise ConfigInvalid(msg)
        return External(name, script=path.absolute())
    if path.suffix in (".py", ".sh") or uri.startswith(("/", "./", "../", "~", "file:")):
        msg = f"{where}: the file {uri} of the backend {name} does not exist"
        raise ConfigInvalid(msg)
    address = uri.removeprefix("grpc://")
    if not _ADDRESS.fullmatch(address) or not _port_is_possible(address):
        msg = f"{where}: the backend {name} is at {uri!r}, which is neither a file nor HOST:PORT"
        raise ConfigInvalid(msg)
    return External(name, address=address)


def _port_is_possible(address: str) -> bool:
    port = address.rpartition(":")[2]
    return address.startswith(("unix:", "dns:")) or 0 < int(port) <= _MAX_PORT
