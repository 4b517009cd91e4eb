"""Names of models as requests have them: none at all in Infinity's words, or a side of a search behind one, as in `bge-small:query`."""

from __future__ import annotations

from collections.abc import Container, Mapping

from textmill.contract import Kind

_SIDES: Mapping[str, Kind] = {"query": "query", "document": "document", "passage": "document"}


_UNSAID = "default/not-specified"
"""What Infinity's own clients send where they name no model."""


def said(name: str | None) -> str | None:
    """The name, or None where a request names no model."""
    return None if name in ("", _UNSAID) else name


def parted(name: str | None, known: Container[str]) -> tuple[str | None, Kind | None]:
    """The name of a model, and the side that its suffix says; None where it has none.

    A name that a model has is left whole, whatever it ends in, and so is one that ends in anything but a side: `qwen:8b`.
    """
    if not name or name in known:
        return name, None
    stem, _, suffix = name.rpartition(":")
    side = _SIDES.get(suffix) if stem else None
    return (name, None) if side is None else (stem, side)
