"""What may be loaded beside what is: limits, and who has to go. Pure: no clock, no thread, no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is loaded; None means none.

    ``loaded`` counts models, ``memory`` bytes of the whole process, ``idle_s`` seconds without a request after which a model
    leaves, ``patience_s`` seconds that a load waits for room while the models that are loaded are busy.
    """

    loaded: int | None = None
    memory: int | None = None
    idle_s: float | None = None
    patience_s: float = 30.0


@dataclass(slots=True)
class Place:
    """A model's place on the shelf.

    ``leases`` counts the requests that use it or wait for it to load, ``used`` is when the last of them ended. A model that is
    ``leaving`` takes no more of them. ``need`` is the memory that it takes, in bytes, estimated at first and then measured. Of the
    models that share one of their ``groups`` one at most is loaded.
    """

    pinned: bool = False
    groups: frozenset[str] = frozenset()
    need: int = 0
    loaded: bool = False
    loading: bool = False
    leaving: bool = False
    leases: int = 0
    used: float = 0.0


P = TypeVar("P", bound=Place)


@dataclass(frozen=True, slots=True)
class Room:
    """What a load has to do first.

    It may begin at once where nothing is in the way; ``never`` says that nothing which may leave would make room.
    """

    evict: Place | None = None
    wait: bool = False
    never: bool = False

    @property
    def fits(self) -> bool:
        """Whether the load may begin."""
        return self.evict is None and not self.wait and not self.never


FITS = Room()


def room_for(place: Place, places: Iterable[Place], used: int, limits: Limits) -> Room:
    """What must happen before the model of ``place`` may load, while the process uses so many bytes.

    The least recently used goes first; one that is pinned or busy never does. Where only busy ones are left, the least
    recently used of them is evicted all the same: it takes no more requests, and leaves when those that it has are done.
    """
    others = [other for other in places if other is not place]
    # What loads has begun to fill its memory; it is counted whole, and so a little too much.
    reserved = sum(other.need for other in others if other.loading)
    held = sum(other.loaded or other.loading for other in others)
    full = limits.loaded is not None and held >= limits.loaded
    short = limits.memory is not None and used + reserved + place.need > limits.memory
    rivals = [other for other in others if other.groups & place.groups and (other.loaded or other.loading)]
    if not full and not short and not rivals:
        return FITS
    if any(rival.pinned for rival in rivals):
        return Room(never=True)
    if any(other.leaving for other in others):
        return Room(wait=True)
    going = [other for other in rivals or others if other.loaded and not other.pinned]
    if going:
        return Room(evict=min(going, key=lambda other: (other.leases > 0, other.used)))
    if any(other.loading for other in others):
        return Room(wait=True)
    return Room(never=True)


def stale(places: Sequence[P], now: float, limits: Limits) -> list[P]:
    """The models that nobody has asked for too long."""
    if limits.idle_s is None:
        return []
    return [
        place
        for place in places
        if place.loaded and not (place.pinned or place.leaving or place.leases) and now - place.used >= limits.idle_s
    ]


def cooldown(failures: int) -> float:
    """Seconds after so many failures in a row during which a model is not loaded again: 10, doubling up to 300."""
    return float(min(300, 10 * 2 ** min(failures - 1, 5)))
