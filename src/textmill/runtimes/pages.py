"""Pages of a mapped checkpoint: given back once a framework has copied the weights in them.

What a process has read of a mapped file counts as its memory until the kernel needs it for others. A framework lays weights
out anew, and reads most of a checkpoint for that only once, so without this a load would hold everything twice.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from textmill.arch.ops import Tensor

_SECONDS = 0.01
"""Between two rounds."""
_DROP: int | None = getattr(mmap, "MADV_DONTNEED", None)  # not on Windows


class Pages:
    """The mappings under some tensors; tensors in memory of their own have none."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        found = (_mapping(tensor.data) for tensor in tensors)
        self._mappings = {id(mapping): mapping for mapping in found if mapping is not None}

    def drop(self) -> None:
        """Give back every page. The files stay in the kernel's cache, and what is read again comes from there.

        Nothing may have been written to the mappings: private pages would be lost.
        """
        if _DROP is not None:
            for mapping in self._mappings.values():
                with suppress(OSError):  # pages that are locked in memory stay
                    mapping.madvise(_DROP)

    @contextmanager
    def dropped(self) -> Iterator[None]:
        """Give pages back again and again while something reads them all, and at the end."""
        ended = Event()

        def work() -> None:
            while not ended.wait(_SECONDS):
                self.drop()

        thread = Thread(target=work, name="textmill-pages", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.drop()


def _mapping(array: object) -> mmap.mmap | None:
    """The mapping that an array is a view of."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = array.obj if isinstance(array, memoryview) else getattr(array, "base", None)
    return array
