"""Decides which waiting rows run next. Pure: time is an argument, there is no thread and no tensor."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Generic, TypeVar

from textmill.runtimes.runtime import Row

Owner = TypeVar("Owner")
"""Whoever waits for rows: a call. The scheduler only hands it back."""

Key = bytes | tuple[object, ...]
"""Equal for rows that differ in nothing."""


class Lane(Enum):
    """How urgent a row is: someone waits for it, or it is one of very many."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(slots=True, eq=False)
class Entry(Generic[Owner]):
    """A distinct row in line, and all who wait for it.

    ``waiters`` are pairs of an owner and the row's position in the owner's call, withdrawn ones included; ``wanted`` counts
    those that were not withdrawn. ``since`` is when the first of them came. An entry that is not ``waiting`` runs, or has run.
    """

    row: Row
    key: Key
    length: int
    lane: Lane
    since: float
    waiters: list[tuple[Owner, int]] = field(default_factory=list)
    wanted: int = 0
    waiting: bool = True


class Scheduler(Generic[Owner]):
    """Waiting rows in, batches out.

    Interactive rows go before bulk rows and do not share a batch with them. A bulk row that has waited ``bulk_age_s`` leads
    the next batch all the same, but never straight after another bulk batch: an interactive row waits for at most one.
    In a lane the oldest row leads, and the rows nearest to it in length join while longest * rows stays within
    ``batch_tokens`` and rows within ``batch_rows``. Every operation costs O(log lengths) a row, however many wait.

    A row that comes while an identical one runs waits for that one's answer, until the batch has `landed`.

    ``rows`` and ``tokens`` count the distinct rows that wait.
    """

    def __init__(self, *, batch_tokens: int, batch_rows: int, bulk_age_s: float) -> None:
        self._batch_tokens = batch_tokens
        self._batch_rows = batch_rows
        self._bulk_age_s = bulk_age_s
        self._lines: dict[Lane, _Line[Owner]] = {lane: _Line() for lane in Lane}
        self._by_key: dict[Key, Entry[Owner]] = {}
        self._running: dict[Key, Entry[Owner]] = {}
        self._previous = Lane.INTERACTIVE
        self.rows = 0
        self.tokens = 0

    def add(self, rows: Sequence[Row], owner: Owner, lane: Lane, now: float) -> list[Entry[Owner]]:
        """Put a call's rows in line; an entry for each, in order, shared with identical rows that wait or run already.

        An interactive row takes a waiting bulk twin along into its lane. Rows have at least one token.
        """
        entries = []
        for position, row in enumerate(rows):
            key = _key(row)
            entry = self._running.get(key) or self._by_key.get(key)
            if entry is None:
                entry = Entry(row, key, len(row.ids), lane, now)
                self._by_key[key] = entry
                self._lines[lane].add(entry)
                self.rows += 1
                self.tokens += entry.length
            elif entry.waiting and entry.lane is Lane.BULK and lane is Lane.INTERACTIVE:
                self._lines[Lane.BULK].remove(entry)
                entry.lane = lane
                self._lines[lane].add(entry)
            entry.waiters.append((owner, position))
            entry.wanted += 1
            entries.append(entry)
        return entries

    def withdraw(self, entries: Iterable[Entry[Owner]]) -> None:
        """Take back what `add` gave one owner: rows that nobody else wants leave the line; rows that started do not care."""
        for entry in entries:
            if entry.waiting:
                entry.wanted -= 1
                if not entry.wanted:
                    self._leave(entry)

    def next_batch(self, now: float) -> list[Entry[Owner]]:
        """Take the rows that run next out of line, the leader first; none if none wait."""
        lane = self._next_lane(now)
        line = self._lines[lane]
        if not line:
            return []
        self._previous = lane
        batch = line.batch(self._batch_tokens, self._batch_rows)
        for entry in batch:
            self._leave(entry)
            self._running[entry.key] = entry
        return batch

    def landed(self, batch: Iterable[Entry[Owner]]) -> None:
        """A batch has been computed, or has failed: nobody joins those who wait for its rows any more."""
        for entry in batch:
            del self._running[entry.key]

    def _next_lane(self, now: float) -> Lane:
        interactive, bulk = self._lines[Lane.INTERACTIVE], self._lines[Lane.BULK]
        if not interactive:
            return Lane.BULK
        if not bulk or self._previous is Lane.BULK:
            return Lane.INTERACTIVE
        return Lane.BULK if now - bulk.oldest.since >= self._bulk_age_s else Lane.INTERACTIVE

    def _leave(self, entry: Entry[Owner]) -> None:
        entry.waiting = False
        self._lines[entry.lane].remove(entry)
        del self._by_key[entry.key]
        self.rows -= 1
        self.tokens -= entry.length


class _Line(Generic[Owner]):
    """The waiting rows of one lane, by arrival and by length.

    Ordered dictionaries serve as queues from whose middle a row can leave at constant cost.
    """

    def __init__(self) -> None:
        self._arrivals: OrderedDict[Entry[Owner], None] = OrderedDict()
        self._by_length: dict[int, OrderedDict[Entry[Owner], None]] = {}
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def oldest(self) -> Entry[Owner]:
        return next(iter(self._arrivals))

    def add(self, entry: Entry[Owner]) -> None:
        self._arrivals[entry] = None
        peers = self._by_length.get(entry.length)
        if peers is None:
            peers = self._by_length[entry.length] = OrderedDict()
            insort(self._lengths, entry.length)
        peers[entry] = None

    def remove(self, entry: Entry[Owner]) -> None:
        del self._arrivals[entry]
        peers = self._by_length[entry.length]
        del peers[entry]
        if not peers:
            del self._by_length[entry.length]
            del self._lengths[bisect_left(self._lengths, entry.length)]

    def batch(self, tokens: int, rows: int) -> list[Entry[Owner]]:
        """Choose the oldest row and its nearest in length, equals first, shorter before longer, older before younger."""
        leader = self.oldest
        batch = [leader]
        longest = leader.length
        above = bisect_left(self._lengths, leader.length)
        below = above - 1
        while (room := min(rows, tokens // longest) - len(batch)) > 0:
            up = self._lengths[above] if above < len(self._lengths) else None
            down = self._lengths[below] if below >= 0 else None
            if up is not None and (down is None or up - leader.length < leader.length - down):
                above += 1
                room = min(rows, tokens // up) - len(batch)
                if room <= 0:
                    above = len(self._lengths)  # those beyond are longer still
                    continue
                longest = up
                nearest = up
            elif down is not None:
                below -= 1
                nearest = down
            else:
                break
            peers = iter(self._by_length[nearest])
            if nearest == leader.length:
                next(peers)  # the leader is the oldest of its length
            batch.extend(islice(peers, room))
        return batch


def _key(row: Row) -> Key:
    ids = row.ids.tobytes()
    more = (row.prompt_tokens, row.attended, row.adapter, row.outputs)
    if row.types is None and more == _PLAIN:
        return ids
    return ids, None if row.types is None else row.types.tobytes(), *more


_PLAIN = (0, None, 0, ("dense",))
