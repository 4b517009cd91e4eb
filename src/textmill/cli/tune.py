"""`textmill tune`: which precision, threads and batch size are fastest on this machine, as exact as is wanted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.flags import flags
from textmill.cli.logs import start_logging
from textmill.cli.progress import progress
from textmill.cli.vectors import output
from textmill.config import ModelOptions, available_threads, command_options, prepare_process

if TYPE_CHECKING:
    from textmill.cli.candidates import Candidate, Trial

_TRIALS = 6


@click.command()
@click.argument("model")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="How far the smallest cosine to float32 may be from 1.",
)
@click.option(
    "--output", "-o", "target", metavar="FILE", help="Where to write the choice; by default MODEL.tuned.yaml."
)
@flags(ModelOptions, without=("dtype", "threads", "max_batch_tokens"))
def tune(model: str, *, tolerance: float, target: str | None, **given: Any) -> None:
    """Try precisions, threads and batch sizes for MODEL on this machine, and keep the fastest that is exact enough.

    Prints a table of speed and of the smallest cosine to float32 on built-in texts, and writes the choice as a file for
    `textmill serve --config`. It takes about half a minute.
    """
    options = command_options(ModelOptions, given)
    start_logging("warning", "text")
    threads = available_threads()
    prepare_process(threads)
    from textmill.cli.candidates import search, try_on  # noqa: PLC0415 - after the process has been prepared
    from textmill.store.calibration import TEXTS  # noqa: PLC0415
    from textmill.store.load import load_model  # noqa: PLC0415

    texts = [text for text in TEXTS if text]
    exact: Any = None
    budget = 0
    name = ""
    with progress("tune", _TRIALS, bar=True) as advance:

        def attempt(candidate: Candidate) -> Trial:
            nonlocal exact, budget, name
            with load_model(model, _with(options, candidate)) as opened:
                trial, made = try_on(opened, candidate, exact, texts)
                exact = made if exact is None else exact
                budget, name = budget or opened.info.batch_tokens, opened.info.name
            advance(len(texts), 1)
            return trial

        best, trials = search(attempt, threads=threads, batch_tokens=lambda: budget, tolerance=tolerance)
    _print(name, trials, best)
    file = target or f"{Path(name).name}.tuned.yaml"
    with output(file) as sink:
        sink.write(_yaml(model, given, best).encode())
    if file != "-":
        click.echo(f"kept in {file}; run: textmill serve --config {file}")


def _with(options: ModelOptions, candidate: Candidate) -> ModelOptions:
    import msgspec  # noqa: PLC0415

    changes = {"dtype": candidate.dtype, "threads": candidate.threads, "max_batch_tokens": candidate.max_batch_tokens}
    return msgspec.structs.replace(options, **changes)


def _print(name: str, trials: Sequence[Trial], best: Trial) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=name, title_justify="left")
    for title in ("dtype", "threads", "batch tokens", "tokens/s", "smallest cosine", ""):
        table.add_column(title, justify="left" if title in ("dtype", "") else "right")
    for trial in trials:
        way = trial.candidate
        numbers = (str(way.threads or "all"), str(way.max_batch_tokens or "default"))
        measured = (f"{trial.tokens_per_s:,.0f}", f"{trial.cosine:.4f}")
        table.add_row(way.dtype, *numbers, *measured, "kept" if trial is best else "")
    Console(file=sys.stdout).print(table)


def _yaml(model: str, given: Mapping[str, object], best: Trial) -> str:
    """The choice, with the flags that say which model it is of and how it runs; a token does not go into a file."""
    import yaml  # noqa: PLC0415

    way = best.candidate
    asked = {name: value for name, value in given.items() if name != "token"}
    chosen = {
        "models": [model],
        **asked,
        "dtype": way.dtype,
        "threads": way.threads,
        "max_batch_tokens": way.max_batch_tokens,
    }
    known = {key: value for key, value in chosen.items() if value is not None}
    return f"# {best.tokens_per_s:,.0f} tokens/s, smallest cosine {best.cosine:.4f}\n{yaml.safe_dump(known, sort_keys=False)}"
