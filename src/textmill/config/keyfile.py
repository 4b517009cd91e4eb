"""The file of API keys: one a line, or a JSON list."""

from __future__ import annotations

from pathlib import Path

import msgspec

from textmill.errors import ConfigInvalid


def read_keys(file: str, flag: str = "--api-key-file") -> tuple[str, ...]:
    """The keys in a file, without blanks around them; empty lines and those that begin with # are left out.

    A file whose name ends in .json holds a list of keys, as LocalAI's api_keys.json does.

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
    if file.endswith(".json"):
        text = "\n".join(_listed(text, file))
    lines = (line.strip() for line in text.splitlines())
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        # A file that was mounted too late, or emptied, must not open the server to everyone.
        msg = f"the file of API keys {file} holds none; write one a line, or leave out {flag}"
        raise ConfigInvalid(msg)
    return keys


def _listed(text: str, file: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        msg = f"the file of API keys {file} is no JSON list of texts"
        raise ConfigInvalid(msg) from None
