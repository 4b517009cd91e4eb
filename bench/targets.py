"""What textmill has promised itself, beside what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import msgspec

from bench.contenders import LABELS
from bench.figures import bulk_runs, cell_runs, p50, rate, ratio
from bench.plan import SINGLE, Cell
from bench.results import Result
from bench.workloads import MIXED

RATIOS = (
    ("textmill-float32", "sentence-transformers", 4.0),
    ("textmill-float32", "onnxruntime-sorted", 2.2),
    ("textmill-auto", "sentence-transformers", 6.5),
    ("textmill-auto", "onnxruntime-sorted", 3.5),
)
LONE = Cell(SINGLE, 1, 1)
CROWD = Cell(SINGLE, 1, 16)
HTTP_SHARE = 0.85
HTTP_COST_MS = 1.0
BATCHES = 3
START_SECONDS = 2.0
RESIDENT_MB = 450.0
DELTA = 1e-5
COSINE = 0.9999


class Target(msgspec.Struct, frozen=True):
    """One line: ``met`` is decided on the unrounded figure."""

    what: str
    wanted: str
    measured: str
    met: bool


def targets(result: Result) -> list[Target]:
    """Those that this run measured."""
    return [*_speed(result), *_http(result), *_service(result), *_accuracy(result)]


def _speed(result: Result) -> Iterator[Target]:
    for over, under, wanted in RATIOS:
        if found := ratio(bulk_runs(result, MIXED, over), bulk_runs(result, MIXED, under)):
            what = f"mixed lengths, {LABELS[over]} ÷ {LABELS[under]}"
            yield Target(what, f"≥ {wanted:g}", found.ratio(), found.median >= wanted)


def _http(result: Result) -> Iterator[Target]:
    http, inside = "textmill-http", "textmill-auto"
    if share := ratio(cell_runs(result, CROWD, http), cell_runs(result, CROWD, inside)):
        what = "16 clients of one short text: HTTP ÷ in-process"
        yield Target(what, f"≥ {HTTP_SHARE:.0%}", f"{share.median:.0%}", share.median >= HTTP_SHARE)
    cost = p50(cell_runs(result, LONE, http)) - p50(cell_runs(result, LONE, inside))
    if not math.isnan(cost):
        what = "one client of one short text: p50 over HTTP - p50 in-process"
        yield Target(what, f"≤ {HTTP_COST_MS:g} ms", f"{cost:.2f} ms", cost <= HTTP_COST_MS)


def _service(result: Result) -> Iterator[Target]:
    service = result.service
    beside, speed = service.beside, rate(bulk_runs(result, MIXED, "textmill-http"))
    if beside and beside.batch_tokens and not math.isnan(speed):
        batch = beside.batch_tokens / speed * 1e3
        what = f"p99 of single texts beside 10,000 ({beside.alone_p99_ms:.1f} ms alone; a batch takes {batch:.1f} ms)"
        met = beside.beside_p99_ms <= BATCHES * batch
        yield Target(what, f"≤ {BATCHES * batch:.1f} ms", f"{beside.beside_p99_ms:.1f} ms", met)
    if service.start_seconds:
        start = statistics.median(service.start_seconds)
        yield Target(
            "`textmill serve` to the first right answer",
            f"≤ {START_SECONDS:.1f} s",
            f"{start:.2f} s",
            start <= START_SECONDS,
        )
    if service.resident_mb is not None:
        what = f"resident memory after serving all this (peak {service.peak_mb:.0f} MB)"
        yield Target(
            what, f"≤ {RESIDENT_MB:.0f} MB", f"{service.resident_mb:.0f} MB", service.resident_mb <= RESIDENT_MB
        )


def _accuracy(result: Result) -> Iterator[Target]:
    deltas = [found.delta for found in result.accuracy if found.contender == "textmill-float32"]
    cosines = [found.cosine for found in result.accuracy if found.contender == "textmill-auto"]
    if deltas:
        yield Target(
            "largest difference of float32 vectors", f"≤ {DELTA:.0e}", f"{max(deltas):.1e}", max(deltas) <= DELTA
        )
    if cosines:
        yield Target("smallest cosine at auto", f"≥ {COSINE}", f"{min(cosines):.6f}", min(cosines) >= COSINE)
