"""Models that the store does not know and that a request names: who may find them, and what else there is to say of the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from textmill.contract import Known
from textmill.folder.location import on_hub
from textmill.store.keeper import Slot
from textmill.store.served import Served


@dataclass(frozen=True, slots=True)
class Found:
    """A model that becomes known because a request names it, and its slot, whose ``prepare`` raises ModelNotFound where it does not exist."""

    known: Known
    slot: Slot[Served]


class Finder(Protocol):
    """Finds models that are not known. Must be quick: the store asks in the event loop."""

    def find(self, name: str) -> Found | None:
        """The model of that name, or None.

        Raises LoadFailed for one that could not be brought a short time ago, Overloaded where too many are being looked for.
        """
        ...

    def hint(self, name: str) -> str:
        """The end of the sentence that no such model is known; may be empty."""
        ...

    def forget(self, name: str, why: BaseException | None = None) -> None:
        """Note that a model that was found is known no longer; ``why`` is what kept it from coming, where something did."""
        ...


class NoFinder:
    """Finds nothing, and says how models of the hub would be found."""

    def find(self, name: str) -> Found | None:
        """None."""
        del name
        return None

    def hint(self, name: str) -> str:
        """That there is an option, for a name that the hub may have."""
        if on_hub(name) is None:
            return ""
        return f"; `textmill pull {name}` installs it, and a server with --auto-download fetches such models by itself"

    def forget(self, name: str, why: BaseException | None = None) -> None:
        """Nothing was found."""
