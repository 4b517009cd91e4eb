"""What may be loaded beside what is: limits, and who has to go. Pure: no clock, no thread, no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar


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


@dataclass(slots=True, eq=False)
class Place:
    """A model's place on the shelf.

    ``leases`` counts the requests that use it or wait for it to load, ``used`` is when the last of them ended. ``need`` is the
    memory that it takes, in bytes, estimated at first and then measured. Of the models that share one of their ``groups`` one at
    most is loaded. ``wanted`` counts the loads and the operators who wait for it to leave, one that is ``retired`` has a successor
    of its name or none, and the memory of one that is ``closing`` is on its way.
    """

    pinned: bool = False
    groups: frozenset[str] = frozenset()
    need: int = 0
    loaded: bool = False
    loading: bool = False
    leases: int = 0
    used: float = 0.0
    wanted: int = 0
    retired: bool = False
    closing: bool = False

    @property
    def leaving(self) -> bool:
        """Whether it takes no more requests."""
        return self.closing or self.retired or self.wanted > 0

    @property
    def going(self) -> bool:
        """Whether its memory comes free without anybody's waiting for requests."""
        return self.loaded and self.leaving and not self.leases

    @property
    def movable(self) -> bool:
        """Whether it may leave one day."""
        return self.loaded and (self.leaving or not self.pinned)


P = TypeVar("P", bound=Place)


@dataclass(frozen=True, slots=True)
class Room(Generic[P]):
    """What a load has to do first.

    It may begin at once where nothing is in the way. Otherwise it has to ``evict`` an idle model, or to ``want`` a busy one, which
    then takes no more requests, or to ``wait``. ``never`` says that nothing which may leave would make room.
    """

    evict: P | None = None
    want: P | None = None
    wait: bool = False
    never: bool = False

    @property
    def fits(self) -> bool:
        """Whether the load may begin."""
        return self.evict is None and self.want is None and not self.wait and not self.never


def room_for(place: P, places: Iterable[P], used: int, limits: Limits) -> Room[P]:
    """What must happen before the model of ``place`` may load, while the process uses so many bytes.

    The least recently used goes first; one that is pinned or busy never does. Where only busy ones are left, the least
    recently used of them is wanted: it takes no more requests, and leaves when those that it has are done.
    """
    others = [other for other in places if other is not place]
    rivals = [other for other in others if other.groups & place.groups and (other.loaded or other.loading)]
    if not rivals and not _full(others, limits) and not _short(place, others, used, limits):
        return Room()
    if not _possible(place, others, rivals, used, limits):
        return Room(never=True)
    if any(other.going for other in others):
        return Room(wait=True)
    asked = [other for other in rivals or others if other.movable and not other.leaving]
    idle = [other for other in asked if not other.leases]
    if idle:
        return Room(evict=min(idle, key=_last_used))
    if any(other.loading for other in others) or any(other.loaded and other.leaving for other in others):
        return Room(wait=True)
    return Room(want=min(asked, key=_last_used)) if asked else Room(never=True)


def _full(others: Sequence[Place], limits: Limits) -> bool:
    return limits.loaded is not None and sum(other.loaded or other.loading for other in others) >= limits.loaded


def _short(place: Place, others: Sequence[Place], used: int, limits: Limits) -> bool:
    # What loads has begun to fill its memory; it is counted whole, and so a little too much.
    reserved = sum(other.need for other in others if other.loading)
    return limits.memory is not None and used + reserved + place.need > limits.memory


def _possible(place: Place, others: Sequence[Place], rivals: Sequence[Place], used: int, limits: Limits) -> bool:
    """Whether the model would fit if all that may leave had left, and what loads had loaded and left as well."""
    if any(rival.loaded and not rival.movable for rival in rivals):
        return False
    if limits.loaded is not None and sum(other.loaded and not other.movable for other in others) >= limits.loaded:
        return False
    # What models take is estimated rather too high, so that this refuses rather too little.
    kept = max(0, used - sum(other.need for other in others if other.movable or other.loading))
    return limits.memory is None or kept + place.need <= limits.memory


def _last_used(place: Place) -> float:
    return place.used


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
