"""`textmill bench`: how many texts and tokens a second a model embeds on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.flags import flags
from textmill.cli.logs import start_logging
from textmill.cli.progress import progress
from textmill.config import ModelOptions, available_threads, command_options, prepare_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textmill.cli.throughput import Throughput
    from textmill.contract import ModelInfo


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@flags(ModelOptions)
def bench(model: str, *, as_json: bool, **given: Any) -> None:
    """Measure MODEL on this machine: texts/s and tokens/s, tokenising included.

    Texts of 16, 128 and 512 tokens, as far as the model takes them, and a mix of lengths as users send them (log-normal),
    made from a fixed seed. It takes about 15 seconds.
    """
    options = command_options(ModelOptions, given)
    start_logging("info", "text")
    prepare_process(options.threads or available_threads())
    from textmill.cli.throughput import measure, workloads  # noqa: PLC0415 - after the process has been prepared
    from textmill.store.load import load_model  # noqa: PLC0415

    with load_model(model, options) as loaded:
        loaded.wait_until_warm()
        kinds = workloads(loaded.info.max_tokens)
        with progress("bench", len(kinds), bar=True) as advance:
            results = []
            for kind in kinds:
                results.append(measure(loaded.embed_inputs, kind))
                advance(results[-1].texts, 1)
        _print_json(loaded.info, results) if as_json else _print_table(loaded.info, results)


def _print_json(info: ModelInfo, results: Sequence[Throughput]) -> None:
    facts = {name: getattr(info, name) for name in ("name", "source", "runtime", "device", "dtype", "threads")}
    click.echo(json.dumps({"model": facts, "results": [asdict(result) for result in results]}, indent=2))


def _print_table(info: ModelInfo, results: Sequence[Throughput]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{info.name} ({info.runtime}, {info.dtype}, threads: {info.threads})", title_justify="left")
    table.add_column("lengths")
    for title in ("tokens a text", "texts", "texts/s", "tokens/s"):
        table.add_column(title, justify="right")
    for result in results:
        numbers = (result.tokens / result.texts, result.texts, result.texts_per_s, result.tokens_per_s)
        table.add_row(result.workload, *(f"{number:,.0f}" for number in numbers))
    Console(file=sys.stdout).print(table)
