"""What textmill does with a field of a model file: it acts, it comes with a part that is still missing, or it is without effect."""

from __future__ import annotations

from msgspec import Meta, Struct

GENERATION = "text generation"
GALLERY = "downloads and galleries"


class Section(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Fields of a model file; None is what the file does not say."""


ACTS = "acts"
IDLE = "without effect here"


def acts(means: str) -> Meta:
    """A field that changes how its model is found, loaded or used."""
    return Meta(description=means, extra={"state": ACTS})


def later(part: str, means: str) -> Meta:
    """A field that is read and checked, and acts once textmill has that part."""
    return Meta(description=means, extra={"state": f"comes with {part}"})


def idle(means: str) -> Meta:
    """A field that is taken so that its file loads, and changes nothing."""
    return Meta(description=means, extra={"state": IDLE})
