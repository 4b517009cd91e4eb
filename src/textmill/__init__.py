"""textmill: text models as a library, a command and a server.

    model = textmill.load("all-MiniLM-L6-v2")
    vectors = model.embed(["one text", "another"])

`load` and `Model` are imported at their first use, so that importing textmill costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textmill.errors import (
    ConfigInvalid,
    ContextExceeded,
    DownloadFailed,
    EmptyInput,
    ExtraMissing,
    ForwardFailed,
    InvalidInput,
    LoadFailed,
    ModelBroken,
    ModelNotFound,
    ModelUnclear,
    Overloaded,
    TemplateBroken,
    TextmillError,
    TooManyInputs,
    Unavailable,
    WrongTask,
)

if TYPE_CHECKING:
    from textmill.contract import ModelInfo
    from textmill.providers.custom import custom
    from textmill.store.connected import connect
    from textmill.store.load import load
    from textmill.store.model import Model
    from textmill.store.shared import shared

__version__ = "0.1.0"

__all__ = [
    "Chunking",
    "ConfigInvalid",
    "ContextExceeded",
    "DownloadFailed",
    "EmptyInput",
    "ExtraMissing",
    "ForwardFailed",
    "InvalidInput",
    "LoadFailed",
    "Model",
    "ModelBroken",
    "ModelInfo",
    "ModelNotFound",
    "ModelUnclear",
    "Overloaded",
    "TemplateBroken",
    "TextmillError",
    "TooManyInputs",
    "Unavailable",
    "WrongTask",
    "__version__",
    "connect",
    "custom",
    "load",
    "shared",
]

_LAZY = {
    "Chunking": "textmill.contract",
    "custom": "textmill.providers.custom",
    "connect": "textmill.store.connected",
    "load": "textmill.store.load",
    "Model": "textmill.store.model",
    "ModelInfo": "textmill.contract",
    "shared": "textmill.store.shared",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _LAZY:
        msg = f"module 'textmill' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - keeps the import of textmill light

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
