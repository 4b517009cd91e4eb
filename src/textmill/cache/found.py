"""What is known of the rows of a call before they are computed, and what they have when the others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textmill.arch.heads import Output
from textmill.runtimes.runtime import SPARSE, Answers, Row

Kept = tuple[bytes, ...]
"""A key, or a value, for each of a row's outputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Rows that all want the same outputs, their keys, None for a row that is never kept, and values, None for what is missing."""

    rows: Sequence[Row]
    keys: Sequence[Kept | None]
    values: list[Kept | None]

    @property
    def missing(self) -> list[int]:
        """Places of the rows that have to be computed."""
        return [place for place, value in enumerate(self.values) if value is None]

    def joined(self, made: Answers) -> Answers:
        """The outputs of all rows, ``made`` being those of the missing ones in order; owned by the caller as these are."""
        missing = self.missing
        if len(missing) == len(self.rows):
            return made
        outputs = self.rows[0].outputs
        return {
            output: self._output(number, output, missing, made.get(output)) for number, output in enumerate(outputs)
        }

    def _output(self, number: int, output: Output, missing: Sequence[int], made: Any) -> Any:
        known = [(place, value[number]) for place, value in enumerate(self.values) if value is not None]
        if output == "sparse":
            parts: list[Any] = [None] * len(self.rows)
            for place, value in known:
                parts[place] = np.frombuffer(value, SPARSE).copy()
            for place, part in zip(missing, made or (), strict=True):
                parts[place] = part
            return parts
        there = np.frombuffer(b"".join(value for _, value in known), np.float32).reshape(len(known), -1)
        if not missing:
            return there.copy()
        whole = np.empty((len(self.rows), there.shape[1]), np.float32)
        whole[[place for place, _ in known]] = there
        whole[missing] = made
        return whole
