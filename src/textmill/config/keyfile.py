"""The file of API keys: one a line."""

from __future__ import annotations

from pathlib import Path

from textmill.errors import ConfigInvalid


def read_keys(file: str) -> tuple[str, ...]:
    """The keys in a file, without blanks around them; empty lines and those that begin with # are left out.

    Raises ConfigInvalid, which never repeats a line, where the file cannot be read or holds no key.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"the file of API keys {file} cannot be read: {error.strerror}"
        raise ConfigInvalid(msg) from error
    except UnicodeDecodeError:
        msg = f"the file of API keys {file} is not text in UTF-8"
        raise ConfigInvalid(msg) from None
    lines = (line.strip() for line in text.splitlines())
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        # A file that was mounted too late, or emptied, must not open the server to everyone.
        msg = f"the file of API keys {file} holds none; write one a line, or leave out --api-key-file"
        raise ConfigInvalid(msg)
    return keys
