"""The picture: tokens a second in one call, one panel a length, one bar a contender."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench.contenders import LABELS
from bench.figures import bulk_runs, contenders, rate, ratio
from bench.results import Result, Text

COLOURS: Final = {
    "textmill-auto": "#0072B2",
    "textmill-float32": "#56B4E9",
    "textmill-http": "#009E73",
    "sentence-transformers": "#E69F00",
    "onnxruntime-sorted": "#CC79A7",
    "onnxruntime-arrival": "#DFB0CB",
    "fastembed": "#A6A6A6",
}
"""Okabe and Ito's colours, which colour-blind people tell apart; textmill is blue and green."""

OURS: Final = "textmill-auto"
INK: Final = "#262626"
QUIET: Final = "#6b6b6b"
WIDTH: Final = 12.0
DPI: Final = 150
HEADER: Final = 1.0
"""Inches for the title and the lines under it."""


def draw(result: Result, path: Path) -> None:
    """Write the PNG, 1800 pixels wide. Nothing is drawn where nothing ran."""
    names = contenders(result)
    if not names or not result.bulk:
        return
    import_module("matplotlib").use("Agg")
    pyplot: Any = import_module("matplotlib.pyplot")
    columns = min(2, len(result.workloads))
    lines = -(-len(result.workloads) // columns)
    height = lines * (0.34 * len(names) + 0.75) + HEADER + 0.1
    figure, axes = pyplot.subplots(lines, columns, figsize=(WIDTH, height), sharey=True, squeeze=False)
    panels = axes.flatten()
    for panel, text in zip(panels, result.workloads, strict=False):
        _panel(panel, result, text, names)
    for panel in panels[len(result.workloads) :]:
        panel.set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, 1 - HEADER / height), h_pad=1.6, w_pad=1.5)
    at = {"x": 0.012, "ha": "left", "va": "top"}
    figure.text(y=1 - 0.16 / height, s=_title(result), fontsize=15, weight="bold", color=INK, **at)
    figure.text(y=1 - 0.52 / height, s=_subtitle(result), fontsize=10, color=QUIET, **at)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, facecolor="white")
    pyplot.close(figure)


def _panel(panel: Any, result: Result, text: Text, names: list[str]) -> None:
    rates = [rate(bulk_runs(result, text.name, name)) for name in names]
    best = max((value for value in rates if not math.isnan(value)), default=1.0)
    places = range(len(names))
    panel.barh(places, rates, color=[COLOURS[name] for name in names], height=0.72)
    for place, (name, value) in enumerate(zip(names, rates, strict=True)):
        if not math.isnan(value):
            panel.annotate(
                f"{value:,.0f}", (value, place), (6, 0), textcoords="offset points", va="center", fontsize=10, color=INK
            )
        times = ratio(bulk_runs(result, text.name, OURS), bulk_runs(result, text.name, name))
        if times and not name.startswith("textmill"):
            said = f"{times.median:.1f} times"
            panel.annotate(
                said, (value, place), (52, 0), textcoords="offset points", va="center", fontsize=9, color=QUIET
            )
    panel.set_yticks(places, [LABELS[name] for name in names], fontsize=10, color=INK)
    for tick, name in zip(panel.get_yticklabels(), names, strict=False):  # a panel without labels has none
        tick.set_fontweight("bold" if name.startswith("textmill") else "normal")
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, best * 1.16)
    panel.set_xticks([])
    panel.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        panel.spines[side].set_visible(False)
    panel.spines["left"].set_color("#bdbdbd")
    panel.set_title(_caption(text), loc="left", fontsize=11.5, color=INK, pad=7)


def _caption(text: Text) -> str:
    if text.name == "mixed":
        return f"mixed lengths, {text.tokens / text.bulk:.0f} tokens on average"
    return f"{text.name} tokens a text" + (f", cut to {text.tokens // text.bulk} by the model" if text.cut else "")


def _title(result: Result) -> str:
    return f"{Path(result.model).name}: tokens a second on {len(result.machine.cores)} CPU cores"


def _subtitle(result: Result) -> str:
    return (
        f"{result.machine.cpu.split(',')[0]}, all contenders on the same texts and cores in one run, tokenising included; "
        f"medians of {result.rounds}.\nGrey: how many times as fast textmill (auto) is. {result.date[:10]}"
    )
