"""Lines in, answers out: a model's verb over files of texts, a window at a time, computing while the last one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from textmill.cli.lines import Window, total_size, windows
from textmill.cli.logs import start_logging
from textmill.cli.progress import progress
from textmill.config import ModelOptions, available_threads, command_options, prepare_process
from textmill.tasks.parted import counted_from

if TYPE_CHECKING:
    from textmill.store.model import Model

A = TypeVar("A")


@contextmanager
def loaded(model: str, given: dict[str, Any]) -> Iterator[Model]:
    """A model with the options of a command, for the time of the block."""
    options = command_options(ModelOptions, given)
    start_logging("info", "text")
    prepare_process(options.threads or available_threads())
    from textmill.store.load import load_model  # noqa: PLC0415 - after the process has been prepared

    opened = load_model(model, options)
    try:
        yield opened
    finally:
        opened.close(drain_s=0)


def stream(
    what: str, compute: Callable[[Sequence[str]], A], files: Sequence[str], write: Callable[[A], None], *, bar: bool
) -> None:
    """Compute the lines of the files and write what comes of each window, in order; show how far it is."""
    with progress(what, total_size(files), bar=bar) as advance:
        for window, made in _computed(compute, windows(files)):
            write(made)
            advance(len(window.texts), window.size)


def _computed(compute: Callable[[Sequence[str]], A], source: Iterator[Window]) -> Iterator[tuple[Window, A]]:
    """Windows with what was computed of them. The next one is read and computed while the caller writes this one."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="textmill-compute")
    waiting: tuple[Window, Future[A]] | None = None
    first = 0

    def computed(texts: Sequence[str], first: int) -> A:
        with counted_from(first):
            return compute(texts)

    try:
        for window in source:
            done = waiting and (waiting[0], waiting[1].result())
            waiting = (window, pool.submit(computed, window.texts, first))
            first += len(window.texts)
            if done:
                yield done
        if waiting:
            yield waiting[0], waiting[1].result()
    finally:
        # Not waiting lets Ctrl-C through: closing the model ends what computes.
        pool.shutdown(wait=False, cancel_futures=True)
