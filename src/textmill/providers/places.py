"""Which addresses are taken: a backend has one model loaded, so two models must not share one."""

from __future__ import annotations

import threading
from typing import Protocol

from textmill.errors import LoadFailed


class Holder(Protocol):
    """Who has an address: a backend."""

    name: str


class Places:
    """The addresses that the models of this process have. Thread-safe."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken: dict[str, Holder] = {}

    def take(self, address: str, holder: Holder, wait_s: float = 5.0) -> None:
        """Have the address; one who leaves has ``wait_s`` seconds for it. Raises LoadFailed."""
        with self._free:
            if not self._free.wait_for(lambda: self._taken.get(address, holder) is holder, wait_s):
                msg = (
                    f"what listens at {address} has another model of this server loaded already, and a backend has one; "
                    "start one more at another address, or name a file that is started for each model"
                )
                raise LoadFailed(msg, retry_after=wait_s)
            self._taken[address] = holder

    def leave(self, address: str, holder: Holder) -> None:
        """Have it no longer; nothing where it is somebody else's."""
        with self._free:
            if self._taken.get(address) is holder:
                del self._taken[address]
                self._free.notify_all()
