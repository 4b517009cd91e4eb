"""A JSON file of a checkpoint, read with types checked and errors that name the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from textmill.checkpoint.lfs import refuse_pointer
from textmill.errors import ModelBroken

V = TypeVar("V")

_NAMES = {bool: "true or false", int: "a whole number", str: "a text", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class JsonFile:
    """The object in a JSON file. ``path`` is for messages; every reader raises ModelBroken with it."""

    path: Path
    data: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> JsonFile:
        """Read a file that must exist and hold an object."""
        data = read_json(path)
        if not isinstance(data, dict):
            msg = f"{path} must hold a JSON object, not {_kind(data)}"
            raise ModelBroken(msg)
        return cls(path, data)

    @classmethod
    def read_if_there(cls, path: Path) -> JsonFile:
        """Read a file that may be absent, which is the same as an empty object."""
        return cls.read(path) if path.is_file() else cls(path, {})

    def get(self, key: str, kind: type[V], default: V) -> V:
        """The value of ``key``; absent and null give ``default``. Raises ModelBroken for a value of another type."""
        value: object = self.data.get(key)
        if value is None:
            return default
        # In Python true is an int; in these files it is a mistake.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            msg = f"{self.path}: {key} must be {_NAMES.get(kind, kind.__name__)}, not {value!r}"
            raise ModelBroken(msg)
        return value

    def require(self, key: str, kind: type[V]) -> V:
        """The value of ``key``; raises ModelBroken where it is absent, null or of another type."""
        if self.data.get(key) is None:
            msg = f"{self.path} lacks {key!r}"
            raise ModelBroken(msg)
        value: V = self.get(key, kind, self.data[key])
        return value

    def size(self, key: str) -> int:
        """A required whole number above zero."""
        value = self.require(key, int)
        if value < 1:
            msg = f"{self.path}: {key} must be at least 1, not {value}"
            raise ModelBroken(msg)
        return value


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises ModelBroken where the file is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path.parent} has no {path.name}"
        raise ModelBroken(msg) from None
    except (OSError, ValueError, RecursionError) as error:
        refuse_pointer(path)
        msg = f"{path} cannot be read as JSON: {error}"
        raise ModelBroken(msg) from error


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)
