"""`textmill rerank`: lines of text in the order of their relevance to a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

from textmill.cli.lines import windows
from textmill.cli.named import named_flags, opened
from textmill.cli.vectors import output
from textmill.contract import RerankOptions

if TYPE_CHECKING:
    from textmill.contract import Scoring


@click.command()
@click.argument("model")
@click.argument("query")
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Write the N best only.")
@click.option("--instruction", metavar="TEXT", help="What counts as relevant, for models that take an instruction.")
@click.option(
    "--scoring", type=click.Choice(["sigmoid", "raw"]), help="How the model's logits become scores; by default sigmoid."
)
@click.option("--truncate/--no-truncate", default=True, help="Cut texts that are too long (the default), or refuse.")
@click.option(
    "--output", "-o", "target", default="-", metavar="FILE", help="Where to write; by default standard output."
)
@named_flags
def rerank(
    model: str,
    query: str,
    files: tuple[str, ...],
    target: str,
    *,
    top: int | None,
    instruction: str | None,
    scoring: Scoring | None,
    truncate: bool,
    **given: Any,
) -> None:
    """Order the lines of FILEs by their relevance to QUERY with MODEL, the best first; - or no file is standard input.

    MODEL is as in `textmill embed`. Writes an object a line: index of the line among all, score, and text.
    """
    from textmill.tasks.best import ranked  # noqa: PLC0415 - imports numpy

    texts = [text for window in windows(files or ("-",)) for text in window.texts]
    options = RerankOptions(scoring=scoring, instruction=instruction, truncate=truncate)
    with output(target) as sink, opened(model, given) as used:
        made = ranked(used.run(used.model.rerank_inputs(query, texts, options)), texts, top) if texts else []
        for each in made:
            line = {"index": each.index, "score": each.score, "text": each.text}
            sink.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        sink.flush()
