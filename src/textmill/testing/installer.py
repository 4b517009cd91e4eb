"""An installer for tests of servers: it notes wishes and downloads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textmill.errors import ModelNotFound
from textmill.gallery.entry import Entry, File, Source
from textmill.gallery.gallery import Available
from textmill.gallery.record import Record
from textmill.gallery.wish import Wish


class RecordingInstaller:
    """Jobs wait until `end` is called. ``wishes`` has what was asked for, ``began`` and ``ended`` whether the app began and closed it."""

    def __init__(self) -> None:
        self.sources: Sequence[Source] = (Source("test", "https://gallery.example/index.yaml"),)
        self.wishes: list[Wish] = []
        self.began = self.ended = False
        self._records: dict[str, Record] = {}

    def available(self) -> Sequence[Available]:
        """One entry."""
        files = (File(filename="bert.gguf", uri="https://files.example/bert.gguf"),)
        entry = Entry(name="bert", tags=("tiny",), files=files, overrides={"backend": "llama"}, gallery=self.sources[0])
        return [Available(entry, installed=False)]

    def submit(self, wish: Wish) -> str:
        """Note the wish."""
        self.wishes.append(wish.checked())
        key = f"job-{len(self.wishes)}"
        self._records[key] = Record(uuid=key, gallery_element_name=wish.title, deletion=bool(wish.delete))
        return key

    def record(self, key: str) -> Record:
        """The job of that id."""
        if key not in self._records:
            msg = f"there is no job {key!r}"
            raise ModelNotFound(msg)
        return self._records[key]

    def records(self) -> Mapping[str, Record]:
        """All jobs."""
        return self._records

    def end(self, key: str, error: str | None = None) -> None:
        """Have a job end."""
        self._records[key] = self.record(key).with_end(error)

    def cancel(self, key: str) -> Record:
        """Have a job cancelled."""
        self._records[key] = self.record(key).with_cancelled()
        return self._records[key]

    def resume(self) -> None:
        """Note it."""
        self.began = True

    def close(self) -> None:
        """Note it."""
        self.ended = True
