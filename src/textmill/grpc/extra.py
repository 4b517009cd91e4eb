"""Whether what this room needs is installed."""

from __future__ import annotations

from importlib import import_module

from textmill.errors import ExtraMissing

_NEEDED = ("grpc", "grpc_health.v1", "grpc_reflection.v1alpha", "google.protobuf")


def need_grpc() -> None:
    """Raise ExtraMissing, with the pip command, unless the extra grpc is installed."""
    try:
        for name in _NEEDED:
            import_module(name)
    except ImportError as error:
        msg = f"gRPC needs the package {error.name}; install the extra with: pip install 'textmill[grpc]'"
        raise ExtraMissing(msg) from error
