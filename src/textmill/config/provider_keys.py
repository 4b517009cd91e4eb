"""The keys that servers elsewhere want, out of the environment."""

from __future__ import annotations

from pathlib import Path

from textmill.config.sources import Environ, environ_or
from textmill.errors import ConfigInvalid


def provider_key(variable: str, environ: Environ | None = None) -> str:
    """The key that a variable has, or the file that the one with ``_FILE`` behind its name names; empty where neither is set.

    Raises ConfigInvalid, which never has the key, for a file that cannot be read or holds anything but one line.
    """
    environ = environ_or(environ)
    key = environ.get(variable, "").strip()
    file = environ.get(f"{variable}_FILE", "").strip()
    if key or not file:
        return key
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError):
        lines = []
    if len(lines) != 1:
        msg = f"the file that {variable}_FILE names cannot be read, or is not one key on one line"
        raise ConfigInvalid(msg)
    return lines[0]
