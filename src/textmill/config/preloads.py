"""Models to install before they are needed, as LocalAI's PRELOAD_MODELS has them: names, addresses and JSON objects."""

from __future__ import annotations

from pathlib import Path

import msgspec

from textmill.config.spelling import Said
from textmill.errors import ConfigInvalid


def listed(text: str) -> tuple[str, ...]:
    """The parts of a text between its commas, without blanks and empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def preload_list(said: Said) -> object:
    """The entries of a JSON list, each as the text of its object. Raises ConfigInvalid for what is none."""
    try:
        found = msgspec.json.decode(said.text)
    except msgspec.DecodeError as error:
        msg = f"{said.where} is not JSON such as " + '[{"id": "localai@bert-embeddings"}]' + f": {error}"
        raise ConfigInvalid(msg) from None
    return _entries(found, said.where)


def preload_file(said: Said) -> object:
    """The entries of a YAML file. Raises ConfigInvalid for one that cannot be read."""
    import yaml  # noqa: PLC0415 - most starts have no such file

    file = Path(said.text).expanduser()
    try:
        found = yaml.safe_load(file.read_bytes())
    except OSError as error:
        msg = f"{said.where}: {file} cannot be read: {error.strerror}"
        raise ConfigInvalid(msg) from error
    except (yaml.YAMLError, RecursionError):
        msg = f"{said.where}: {file} is not YAML"
        raise ConfigInvalid(msg) from None
    return _entries(found, f"{said.where}: {file}")


def _entries(found: object, where: str) -> tuple[str, ...]:
    entries = found if isinstance(found, list) else None
    if entries is None or not all(isinstance(entry, dict) for entry in entries):
        msg = f"{where} must be a list of objects, each with id or url, and name, overrides and files where they are wanted"
        raise ConfigInvalid(msg)
    return tuple(msgspec.json.encode(entry).decode() for entry in entries)
