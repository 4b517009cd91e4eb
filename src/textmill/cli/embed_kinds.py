"""`textmill embed-sparse`, `embed-multi` and `embed-tokens`: lines of text become vectors of other kinds than one dense one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.records import Record, run, text_options

if TYPE_CHECKING:
    from textmill.contract import Kind
    from textmill.store.model import Model

_KIND = click.option(
    "--kind",
    type=click.Choice(["query", "document"]),
    default="document",
    show_default=True,
    help="The side of a search that the texts are on, for models that tell them apart.",
)


@click.command("embed-sparse")
@text_options
@_KIND
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Keep the N largest weights of each text.")
def embed_sparse(
    model: str, files: tuple[str, ...], target: str, *, kind: Kind, top: int | None, truncate: bool, **given: Any
) -> None:
    """Weigh the vocabulary for each line of FILEs with a SPLADE-type MODEL; - or no file is standard input.

    Writes an object a line: index, indices into the vocabulary, and their values.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        vectors = opened.embed_sparse(texts, kind=kind, top=top, truncate=truncate)
        return [{"indices": vector.indices, "values": vector.values} for vector in vectors]

    run("embed-sparse", compute, model, files, target, given)


@click.command("embed-multi")
@text_options
@_KIND
def embed_multi(model: str, files: tuple[str, ...], target: str, *, kind: Kind, truncate: bool, **given: Any) -> None:
    """Embed each line of FILEs as several vectors with a ColBERT-type MODEL; - or no file is standard input.

    Writes an object a line: index, and embeddings, an array of vectors.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        return [{"embeddings": vectors} for vectors in opened.embed_multi(texts, kind=kind, truncate=truncate)]

    run("embed-multi", compute, model, files, target, given)


@click.command("embed-tokens")
@text_options
def embed_tokens(model: str, files: tuple[str, ...], target: str, *, truncate: bool, **given: Any) -> None:
    """Write the states of the tokens of each line of FILEs, before any pooling; - or no file is standard input.

    Writes an object a line: index, and embeddings, an array with a vector for each token, special ones included.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        return [{"embeddings": states} for states in opened.embed_tokens(texts, truncate=truncate)]

    run("embed-tokens", compute, model, files, target, given)
