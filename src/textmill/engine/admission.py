"""Says whether a call may wait in line, and when to come back if not."""

from __future__ import annotations

from textmill.errors import Overloaded

_MEMORY = 0.9
"""How much of the measured past the next batch leaves: about the last ten batches count."""
_SHORTEST_S = 1.0
"""Sooner is not worth a client's retry, and HTTP's Retry-After has whole seconds."""


class Admission:
    """Keeps the tokens that wait within a limit, and measures how fast they go.

    ``expected`` are tokens of calls that were let in by an estimate and are not in line yet.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.expected = 0
        self._tokens = 0.0
        self._seconds = 0.0

    def measure(self, tokens: int, seconds: float) -> None:
        """Learn from a batch."""
        self._tokens = _MEMORY * self._tokens + tokens
        self._seconds = _MEMORY * self._seconds + seconds

    def expect(self, tokens: int, waiting: int) -> None:
        """`check` a call by an estimate, before anything is done for it, beside those that wait and those expected."""
        self.check(tokens, waiting + self.expected)
        self.expected += tokens

    def check(self, tokens: int, waiting: int) -> None:
        """Let a call of so many tokens in beside those that wait; alone, a call of any size.

        Raises Overloaded with the time after which the call should fit.
        """
        if not waiting or waiting + tokens <= self._limit:
            return
        surplus = min(waiting, waiting + tokens - self._limit)
        seconds = surplus * self._seconds / self._tokens if self._tokens else 0.0
        retry_after = max(_SHORTEST_S, seconds)
        msg = (
            f"too much work waits: {waiting} tokens and {tokens} more would pass the limit of {self._limit}; "
            f"try again in {retry_after:.0f} s"
        )
        raise Overloaded(msg, retry_after=retry_after)
