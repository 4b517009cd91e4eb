"""States of former texts, so that a text which begins as one of them is not read from its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.runtimes.causal_cache import Slab

_WORTH = 16
"""Tokens that a text must share to be worth copying."""


class Prefixes:
    """The latest texts with so many ``tokens`` at most, all together; the one that was used longest ago goes first."""

    def __init__(self, tokens: int) -> None:
        self._most = tokens
        self._kept: list[tuple[tuple[int, ...], Slab]] = []

    def find(self, ids: Sequence[int]) -> tuple[int, Slab | None]:
        """How many of the ids are known, and a copy of their states; never all of them, as the last one's logits are wanted."""
        best, place = 0, -1
        for index, (known, _) in enumerate(self._kept):
            shared = _shared(known, ids)
            if shared > best:
                best, place = shared, index
        best = min(best, len(ids) - 1)
        if best < _WORTH:
            return 0, None
        entry = self._kept.pop(place)
        self._kept.append(entry)
        return best, entry[1].copied(0, best)

    def wants(self, ids: Sequence[int]) -> bool:
        """Whether there is room for a text of its own."""
        return _WORTH <= len(ids) <= self._most

    def keep(self, ids: tuple[int, ...], states: Slab) -> None:
        """Remember a text in place of those that it goes on with; ``states`` has one row, which is no longer written to."""
        if not self.wants(ids):
            return
        self._kept = [entry for entry in self._kept if ids[: len(entry[0])] != entry[0]]
        self._kept.append((ids, states))
        total = sum(len(known) for known, _ in self._kept)
        while total > self._most:
            known, _ = self._kept.pop(0)
            total -= len(known)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def _shared(known: Sequence[int], ids: Sequence[int]) -> int:
    """How many ids two texts begin with alike."""
    most = min(len(known), len(ids))
    if tuple(known[:most]) == tuple(ids[:most]):
        return most
    return next(index for index in range(most) if known[index] != ids[index])
