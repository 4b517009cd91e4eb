"""Clients that behave as clients do: most ask and read, some ask nonsense, some leave in the middle."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.http_client import LENGTH, LIMIT
from bench.load_cases import Case, Cases

LEAVING: Final = 0.10
MALFORMED: Final = 0.10
TOO_LONG: Final = 0.05
PATIENCE: Final = 60.0
"""Seconds after which an answer counts as lost."""
GONE: Final = 503
ON_ITS_WAY: Final = 0.5
"""Seconds after which a request that was sent has begun, and may be refused no more."""
SHOWN: Final = 5


@dataclass
class Tally:
    """What became of all requests. ``lost`` got no whole answer, ``wrong`` another one than was due; both have sentences."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    left: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many requests got an answer."""
        return sum(self.answers.values())

    @property
    def failures(self) -> list[str]:
        """The first few sentences about what must not be."""
        errors = [f"status {status} to {kind}" for kind, status in self.answers if status >= 500]  # noqa: PLR2004
        return [*self.lost[:SHOWN], *self.wrong[:SHOWN], *errors]


class Crowd:
    """So many clients on an event loop; each asks again as soon as it is answered."""

    def __init__(self, host: str, port: int, cases: Cases) -> None:
        self.tally = Tally()
        self.left_at = math.inf
        """When the server was told to stop: from then on it may refuse, in words or by a closed door."""
        self._address = host, port
        self._cases = cases

    async def run(self, clients: int, seconds: float) -> None:
        """Let them ask for so long; returns when all have their last answer."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(seed, end) for seed in range(clients)))

    async def _client(self, seed: int, end: float) -> None:
        chance = random.Random(seed)  # noqa: S311 - a repeatable mix, no secret
        streams: _Streams | None = None
        while time.monotonic() < end:
            streams = streams or await self._connect()
            if streams is None:
                return
            if chance.random() < LEAVING:
                await self._leave(streams, chance)
                streams = None
            elif not await self._ask(streams, self._draw(chance)):
                return
            elif not streams.kept:
                streams.close()
                streams = None
        if streams is not None:
            streams.close()

    async def _connect(self) -> _Streams | None:
        """A new connection; None behind a closed door."""
        try:
            return _Streams(*await asyncio.open_connection(*self._address, limit=LIMIT))
        except OSError as error:
            if time.monotonic() < self.left_at:
                self.tally.lost.append(f"no connection: {error}")
            return None

    def _draw(self, chance: random.Random) -> Case:
        share = chance.random()
        kinds: Sequence[Case] = self._cases.right
        if share < MALFORMED:
            kinds = self._cases.malformed
        elif share < MALFORMED + TOO_LONG:
            kinds = self._cases.long
        return chance.choice(kinds)

    async def _ask(self, streams: _Streams, case: Case) -> bool:
        """One request; whether to go on."""
        begin = time.monotonic()
        try:
            status, body = await asyncio.wait_for(streams.ask(case.request), PATIENCE)
        except (OSError, EOFError, TimeoutError) as error:
            self.tally.lost.append(f"{case.kind}: no answer: {error!r}")
            streams.close()
            return False
        if status == GONE and time.monotonic() >= self.left_at:
            self.tally.refused += 1
            if begin < self.left_at - ON_ITS_WAY:
                self.tally.lost.append(f"{case.kind}: refused, but sent {self.left_at - begin:.1f} s before the signal")
            streams.close()
            return False
        self.tally.answers[case.kind, status] += 1
        self.tally.milliseconds.append((time.monotonic() - begin) * 1e3)
        if wrong := case.wrong(status, body):
            self.tally.wrong.append(wrong)
        return True

    async def _leave(self, streams: _Streams, chance: random.Random) -> None:
        """Send a part of a request, or all of it, and go, half of the times with a reset."""
        request = chance.choice(self._cases.right).request
        if chance.random() < 0.3:  # noqa: PLR2004 - some leave before they have said all
            request = request[: chance.randrange(1, len(request))]
        streams.writer.write(request)
        await asyncio.sleep(chance.choice((0.0, 0.002, 0.05)))
        self.tally.left += 1
        streams.close(reset=chance.random() < 0.5)  # noqa: PLR2004


@dataclass
class _Streams:
    """A connection. ``kept`` says whether the last answer left it open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    kept: bool = True

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError or EOFError where the answer does not come whole."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        self.kept = b"connection: close" not in head.lower()
        return int(head[9:12]), body

    def close(self, *, reset: bool = False) -> None:
        """Close it, or reset it as a client that was killed does."""
        if reset:
            found = self.writer.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()
