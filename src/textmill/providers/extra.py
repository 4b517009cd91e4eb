"""Whether what this room needs is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from textmill.errors import ExtraMissing


def need_grpc() -> None:
    """Raise ExtraMissing, with the pip command, unless the extra grpc is installed."""
    try:
        for name in ("grpc", "google.protobuf"):
            import_module(name)
    except ImportError as error:
        msg = f"backends outside of textmill need the package {error.name}; install the extra with: pip install 'textmill[grpc]'"
        raise ExtraMissing(msg) from error


def need_transformers() -> None:
    """Raise ExtraMissing, with the pip command, unless PyTorch and transformers are installed."""
    for name in ("torch", "transformers", "jinja2"):
        if find_spec(name) is None:
            msg = f"models of transformers that write need the package {name}; install the extra with: pip install 'textmill[transformers]'"
            raise ExtraMissing(msg)
