"""Installing from the command line: how far it is, and Ctrl-C that leaves what can be resumed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textmill.errors import TextmillError

if TYPE_CHECKING:
    from textmill.gallery.gallery import Gallery
    from textmill.gallery.install import Installed
    from textmill.gallery.progress import Progress, Report
    from textmill.gallery.remove import Removed
    from textmill.gallery.stop import Stop
    from textmill.gallery.wish import Wish

_log = logging.getLogger("textmill")

_LETTING_GO_S = 5.0


def carry_out(gallery: Gallery, wish: Wish) -> Installed | Removed:
    """Install what is wished, and show how far it is. Errors are those of `Gallery.carry_out`.

    KeyboardInterrupt comes once the download has let go; the same wish resumes it.
    """
    from textmill.gallery.stop import Stop  # noqa: PLC0415 - with the gallery

    stop = Stop()
    with shown() as report:
        return interruptible(lambda: gallery.carry_out(wish, report, stop), stop)


def interruptible(work: Callable[[], Installed | Removed], stop: Stop) -> Installed | Removed:
    """The result of work that is told by ``stop`` when Ctrl-C comes: it runs in a thread, since what it waits for does not hear that."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="install")
    try:
        running = pool.submit(work)
        return running.result()
    except (KeyboardInterrupt, CancelledError):
        stop.set()
        wait([running], timeout=_LETTING_GO_S)
        click.echo("textmill: stopped; what came so far is kept, and the same command resumes", err=True)
        raise KeyboardInterrupt from None
    finally:
        pool.shutdown(wait=False)


@contextmanager
def shown() -> Iterator[Report]:
    """A report that draws a bar where standard error is a terminal, and writes lines to the log elsewhere."""
    from textmill.gallery.logged import Logged, sentence  # noqa: PLC0415 - with the gallery

    if not sys.stderr.isatty():
        yield Logged(_log)
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def report(progress: Progress) -> None:
            if progress.file not in tasks:
                tasks[progress.file] = bars.add_task(progress.file, total=None)
            words = progress.file if progress.phase in ("downloading", "done") else sentence(progress)
            bars.update(tasks[progress.file], description=words, completed=progress.done, total=progress.total)

        yield report


def local_address(what: str) -> tuple[str, tuple[Path, ...]]:
    """An address, and the folders that it may come from: a path of this machine, spelled ./x, /x, ~/x or file:///x, means its file.

    Who types a path is allowed to read it. Raises TextmillError for a path to nothing.
    """
    if what.startswith("file://"):
        from textmill.gallery.access import Access  # noqa: PLC0415 - with the gallery
        from textmill.gallery.uri import LocalFile, parse  # noqa: PLC0415

        uri = parse(what, Access())
        return what, (uri.path.parent,) if isinstance(uri, LocalFile) else ()
    if not what.startswith(("./", "../", "/", "~")):
        return what, ()
    path = Path(what).expanduser().absolute()
    if not path.is_file():
        found = "a folder; move it into the models folder to serve it from there" if path.is_dir() else "not there"
        msg = f"{what} is {found}"
        raise TextmillError(msg)
    return path.as_uri(), (path.parent,)
