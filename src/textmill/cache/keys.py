"""What tells rows apart: which model they are for, how it runs, and all that is in them."""

from __future__ import annotations

import struct
from hashlib import blake2b

from textmill.arch.heads import Output
from textmill.runtimes.runtime import Row

KEY_BYTES = 32
"""As many as a SHA-256 has: nobody can make two rows of one key on purpose, either."""

_ABOUT = struct.Struct("<qqqq?")


class Keys:
    """Keys of one model's rows. ``identity`` is everything that an answer depends on beside the row."""

    def __init__(self, *identity: str) -> None:
        self._begun = blake2b(digest_size=KEY_BYTES)
        for each in identity:
            part = each.encode()
            self._begun.update(struct.pack("<q", len(part)) + part)

    def of(self, row: Row, output: Output) -> bytes:
        """The key of what a row has for an output, `KEY_BYTES` long."""
        attended = -1 if row.attended is None else row.attended
        about = _ABOUT.pack(len(row.ids), row.prompt_tokens, attended, row.adapter, row.types is not None)
        made = self._begun.copy()
        made.update(
            b"".join((output.encode(), about, row.ids.tobytes(), b"" if row.types is None else row.types.tobytes()))
        )
        return made.digest()
