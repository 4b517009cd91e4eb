"""`textmill classify`, `classify-tokens` and `zero-shot`: lines of text get labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.records import Record, run, text_options

if TYPE_CHECKING:
    from textmill.contract import Scoring
    from textmill.store.model import Model


@click.command()
@text_options()
@click.option(
    "--scoring",
    type=click.Choice(["softmax", "sigmoid", "raw"]),
    help="How logits become scores; by default the model's own way.",
)
def classify(
    model: str, files: tuple[str, ...], target: str, *, scoring: Scoring | None, truncate: bool, **given: Any
) -> None:
    """Score the labels of MODEL for each line of FILEs; - or no file is standard input.

    Writes an object a line: index, and scores by label, the best first.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        return [{"scores": scores} for scores in opened.classify(texts, scoring=scoring, truncate=truncate)]

    run("classify", compute, model, files, target, given)


@click.command("classify-tokens")
@text_options()
def classify_tokens(model: str, files: tuple[str, ...], target: str, *, truncate: bool, **given: Any) -> None:
    """Find the names and other labelled stretches in each line of FILEs with MODEL; - or no file is standard input.

    Writes an object a line: index, and entities with label, score, text, start and end in characters.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        found = opened.classify_tokens(texts, truncate=truncate)
        return [{"entities": [asdict(entity) for entity in entities]} for entities in found]

    run("classify-tokens", compute, model, files, target, given)


@click.command("zero-shot")
@text_options()
@click.option("--label", "labels", multiple=True, required=True, metavar="TEXT", help="A label; give several.")
@click.option(
    "--hypothesis", default="This example is {}.", show_default=True, help="A sentence with {} for the label."
)
@click.option("--multi-label", is_flag=True, help="Score each label on its own, so that several may fit.")
def zero_shot(
    model: str,
    files: tuple[str, ...],
    target: str,
    *,
    labels: tuple[str, ...],
    hypothesis: str,
    multi_label: bool,
    truncate: bool,
    **given: Any,
) -> None:
    """Score labels of your own for each line of FILEs with an entailment (NLI) MODEL; - or no file is standard input.

    Writes an object a line: index, and scores by label, the best first.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        found = opened.classify_zero_shot(
            texts, labels, hypothesis=hypothesis, multi_label=multi_label, truncate=truncate
        )
        return [{"scores": scores} for scores in found]

    run("zero-shot", compute, model, files, target, given)
