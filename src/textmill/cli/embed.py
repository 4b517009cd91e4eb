"""`textmill embed`: files of texts become files of vectors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.flags import flags
from textmill.cli.lines import Window, total_size, windows
from textmill.cli.logs import start_logging
from textmill.cli.progress import progress
from textmill.cli.vectors import FORMATS, Writer, output
from textmill.config import ModelOptions, available_threads, command_options, prepare_process
from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="jsonl", show_default=True, help="Form of the output."
)
@click.option(
    "--output", "-o", "target", default="-", metavar="FILE", help="Where to write; by default standard output."
)
@click.option("--prompt", metavar="TEXT", help='Put in front of each text; "" for none.')
@click.option("--prompt-name", metavar="NAME", help="One of the model's own prompts, such as query.")
@click.option("--dimensions", type=click.IntRange(min=1), metavar="N", help="Keep the first N values of each vector.")
@click.option("--normalize/--no-normalize", default=True, help="Scale vectors to unit length (the default).")
@click.option(
    "--truncate/--no-truncate", default=True, help="Cut texts that are too long (the default), or refuse them."
)
@flags(ModelOptions)
def embed(model: str, files: tuple[str, ...], form: str, target: str, **given: Any) -> None:
    """Embed the lines of FILEs, one text a line, with MODEL; - or no file is standard input.

    The output has one vector for every line, in order: an empty line is an empty text. The formats: jsonl, an object with
    index and embedding a line; json, one array of arrays; npy, one float32 array of shape (lines, dimensions).
    """
    files = files or ("-",)
    if form == "npy" and target == "-" and sys.stdout.isatty():
        msg = "npy is binary and standard output is a terminal; add --output FILE"
        raise ConfigInvalid(msg)
    how = {name: given.pop(name) for name in ("prompt", "prompt_name", "dimensions", "normalize", "truncate")}
    options = command_options(ModelOptions, given)
    start_logging("info", "text")
    prepare_process(options.threads or available_threads())
    # A bar between lines of output on the same terminal would help nobody.
    bar = target != "-" or not sys.stdout.isatty()
    with output(target) as sink:  # before the model loads, since that takes longer
        from textmill.store.load import load_model  # noqa: PLC0415 - after the process has been prepared

        loaded = load_model(model, options)
        try:
            _run(partial(loaded.embed, **how), files, FORMATS[form](sink), bar=bar)
        finally:
            loaded.close(drain_s=0)


def _run(embed_texts: Callable[[Sequence[str]], Vectors], files: Sequence[str], writer: Writer, *, bar: bool) -> None:
    with progress("embed", total_size(files), bar=bar) as advance:
        for window, vectors in _embedded(embed_texts, windows(files)):
            writer.write(vectors)
            advance(len(window.texts), window.size)
        writer.finish()


def _embedded(
    embed_texts: Callable[[Sequence[str]], Vectors], source: Iterator[Window]
) -> Iterator[tuple[Window, Vectors]]:
    """Windows with their vectors, in order. The next one is read and computed while the caller writes this one."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="textmill-embed")
    waiting: tuple[Window, Future[Vectors]] | None = None
    try:
        for window in source:
            done = waiting and (waiting[0], waiting[1].result())
            waiting = (window, pool.submit(embed_texts, window.texts))
            if done:
                yield done
        if waiting:
            yield waiting[0], waiting[1].result()
    finally:
        # Not waiting lets Ctrl-C through: closing the model ends what computes.
        pool.shutdown(wait=False, cancel_futures=True)
