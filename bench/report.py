"""The tables, as Markdown that reads well on a terminal too."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from bench.contenders import LABELS
from bench.figures import bulk_runs, cell_runs, contenders, grid, p50, p99, rate, ratio
from bench.plan import Cell
from bench.results import Result
from bench.targets import targets

DISTURBED = 0.05
"""Share of the cores; above it, contenders were measured against somebody else."""

OURS = ("textmill-auto", "textmill-float32")


def report(result: Result) -> str:
    """All tables of a run."""
    sections = [_heading(result), _others(result), _bulk(result)]
    if result.cells:
        sections += [_rates(result), _latencies(result)]
    sections += [_service(result), _targets(result), _notes(result)]
    return "\n\n".join(section for section in sections if section) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns padded to equal width."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def _heading(result: Result) -> str:
    machine = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return (
        f"# textmill and its peers\n\n{result.date}, {result.model}, {result.rounds} rounds. "
        f"{machine.cpu}, pinned to {len(machine.cores)} ({', '.join(machine.flags)}), {machine.memory_gb} GB, "
        f"{machine.system}, Python {machine.python}. {versions}."
    )


def _others(result: Result) -> str:
    """A comparison is only as good as the quiet around it."""
    shares = [run.others for run in result.bulk] + [run.others for run in result.cells]
    if not shares:
        return ""
    median, most = statistics.median(shares), max(shares)
    said = f"Foreign processes took {median:.0%} of the cores in the median measurement, {most:.0%} in the worst."
    return said if median < DISTURBED else f"**The machine was not quiet: do not trust these figures.** {said}"


def _bulk(result: Result) -> str:
    head = ["length", "contender", "tokens/s", "texts/s", "auto ÷ it", "float32 ÷ it", "worst cosine", "largest Δ"]
    rows = [row for text in result.workloads for row in _bulk_rows(result, text.name)]
    lengths = "; ".join(
        f"{text.name}: {text.bulk:,} texts, {text.tokens:,} tokens"
        + (f", {text.cut:,} texts cut to the model's limit" if text.cut else "")
        for text in result.workloads
    )
    return (
        "## All texts in one call\n\nTokenising included; medians over rounds, ratios within rounds (min-max). "
        f"Tokens are those that reach the model, special ones included. {lengths}.\n\n{table(head, rows)}"
    )


def _bulk_rows(result: Result, workload: str) -> Iterator[list[str]]:
    texts = next(text for text in result.workloads if text.name == workload)
    exact = {found.contender: found for found in result.accuracy if found.workload == workload}
    for name in contenders(result):
        runs = bulk_runs(result, workload, name)
        if not runs:
            continue
        speed = rate(runs)
        ratios = [found.ratio() if (found := ratio(bulk_runs(result, workload, our), runs)) else "" for our in OURS]
        cosine, delta = (f"{exact[name].cosine:.7f}", f"{exact[name].delta:.0e}") if name in exact else ("", "")
        label = f"{workload} (cut)" if texts.cut else workload
        yield [
            label,
            LABELS[name],
            f"{speed:,.0f}",
            f"{speed * texts.bulk / texts.tokens:,.0f}",
            *ratios,
            cosine,
            delta,
        ]


def _rates(result: Result) -> str:
    names = contenders(result)

    def field(cell: Cell, name: str) -> str:
        runs = cell_runs(result, cell, name)
        found = ratio(cell_runs(result, cell, OURS[0]), runs)
        times = "" if name in OURS or found is None else f" ({found.median:.1f} x)"
        return f"{rate(runs):,.0f}{times}" if runs else ""

    shares = [run.answered.client_cpu for run in result.cells if run.answered.client_cpu is not None]
    client = f" The HTTP client took {min(shares):.0%} to {max(shares):.0%} of the cores." if shares else ""
    rows = [[*_cell(cell), *(field(cell, name) for name in names)] for cell in grid(result)]
    return (
        "## Requests: texts a second\n\nEach client asks again as soon as it is answered. In brackets: textmill (auto) "
        f"÷ it, in-process.{client}\n\n{table(['length', 'texts', 'clients', *names], rows)}"
    )


def _latencies(result: Result) -> str:
    names = contenders(result)

    def field(cell: Cell, name: str) -> str:
        runs = cell_runs(result, cell, name)
        return f"{_ms(p50(runs))} / {_ms(p99(runs))}" if runs else ""

    rows = [[*_cell(cell), *(field(cell, name) for name in names)] for cell in grid(result)]
    head = ["length", "texts", "clients", *names]
    return f"## Requests: p50 / p99 in milliseconds\n\n{table(head, rows)}"


def _cell(cell: Cell) -> list[str]:
    return [cell.workload, str(cell.texts), str(cell.clients)]


def _ms(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:,.0f}"  # noqa: PLR2004 - three figures


def _service(result: Result) -> str:
    beside = result.service.beside
    if beside is None:
        return ""
    if beside.reason:
        return f"The request of 10,000 texts beside single ones was refused: {beside.reason}"
    rows = [
        ["alone", _ms(beside.alone_p50_ms), _ms(beside.alone_p99_ms)],
        ["beside one request of 10,000 texts", _ms(beside.beside_p50_ms), _ms(beside.beside_p99_ms)],
    ]
    return f"## Single short texts over HTTP\n\n{table(['one client', 'p50 ms', 'p99 ms'], rows)}"


def _targets(result: Result) -> str:
    rows = [[found.what, found.wanted, found.measured, "yes" if found.met else "NO"] for found in targets(result)]
    return f"## Targets\n\n{table(['what', 'wanted', 'measured', 'met'], rows)}" if rows else ""


def _notes(result: Result) -> str:
    ran = [f"- {LABELS[name]}: {note}" for name, note in result.notes.items()]
    skipped = [f"- {LABELS[name]} was left out: {reason}" for name, reason in result.skipped.items()]
    return "## Contenders\n\n" + "\n".join(ran + skipped)
