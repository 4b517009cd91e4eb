"""What a request wants done with texts that are too long: the fields for it, and the options that they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from textmill.contract import Chunking
from textmill.errors import InvalidInput

OnOverflow = Annotated[
    Literal["truncate", "error", "chunk"] | None,
    Meta(
        description="Texts that are too long are cut (`truncate`), refused (`error`), or parted and their chunks' vectors joined "
        "by a mean weighted with tokens (`chunk`)."
    ),
]
Window = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(description="Tokens of a chunk, special tokens and prompt included; absent means as many as the model takes."),
]
Overlap = Annotated[
    Annotated[int, Meta(ge=0)] | None,
    Meta(description="Tokens that a chunk shares with the one before; none by default."),
]


def policy(
    on_overflow: str | None, window: int | None, overlap: int | None, *, truncate: bool
) -> tuple[bool, Chunking | None]:
    """Whether texts are cut, and how they are parted, if so.

    ``truncate`` holds where ``on_overflow`` is absent. Raises InvalidInput for chunks' sizes without chunks.
    """
    if on_overflow == "chunk":
        return True, Chunking(window, overlap or 0)
    if window is not None or overlap is not None:
        param = "chunk_tokens" if window is not None else "chunk_overlap"
        msg = f"'{param}' goes with on_overflow 'chunk' only"
        raise InvalidInput(msg, param=param)
    return (truncate if on_overflow is None else on_overflow == "truncate"), None
