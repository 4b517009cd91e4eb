"""Whether llama.cpp is installed."""

from __future__ import annotations

from importlib.util import find_spec

from textmill.errors import ExtraMissing


def need_llamacpp() -> None:
    """Raise ExtraMissing, with the pip command, unless the extra llamacpp is installed; it is not imported here."""
    if find_spec("xllamacpp") is None:
        msg = "GGUF files need the package xllamacpp; install the extra with: pip install 'textmill[llamacpp]'"
        raise ExtraMissing(msg)
