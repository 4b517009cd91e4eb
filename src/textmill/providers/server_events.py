"""Server-sent events out of bytes as they come, as the HTML standard has them; only their data counts here."""

from __future__ import annotations

from textmill.errors import ForwardFailed

MOST_BYTES = 16 * 1024 * 1024
"""Of one event."""


class EventReader:
    """Takes bytes in any parts; gives the data of each event that is whole, its lines joined. Comments and other fields are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole with those bytes. Raises ForwardFailed for one that does not end."""
        events: list[bytes] = []
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._line(line[:-1] if line.endswith(b"\r") else line, events)
        if len(self._rest) + self._size > MOST_BYTES:
            msg = f"an event has more than {MOST_BYTES} bytes"
            raise ForwardFailed(msg)
        return events

    def end(self) -> list[bytes]:
        """The last event, where no empty line came behind it: some servers leave it out."""
        events = self.feed(b"\n\n")
        self._rest = b""
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            self._size += len(line)
