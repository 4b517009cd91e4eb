"""Calls whose inputs are computed in parts: which of them an error means that counts those of its part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from textmill.errors import InvalidInput

_NUMBERED = re.compile(r"\b(?:input|text|document|item|index)s?\W{1,2}\d", re.IGNORECASE)
"""Such as ``input 8`` and ``texts[8]``."""


@contextmanager
def counted_from(first: int) -> Iterator[None]:
    """Have an InvalidInput that numbers the inputs of a part say with which input of the whole call the part begins."""
    try:
        yield
    except InvalidInput as error:
        if not first or not _NUMBERED.search(str(error)):
            raise
        msg = f"{error} (counted from input {first})"
        index = None if error.index is None else first + error.index
        raise type(error)(msg, param=error.param, index=index) from None
