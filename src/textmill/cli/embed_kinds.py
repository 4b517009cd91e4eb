"""`textmill embed-sparse`, `-multi`, `-hybrid`, `-chunks` and `-tokens`: lines of text become vectors of other kinds than one dense one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.records import Record, run, text_options

if TYPE_CHECKING:
    from textmill.contract import Chunk, Kind
    from textmill.store.model import Model

_KIND = click.option(
    "--kind",
    type=click.Choice(["query", "document"]),
    default="document",
    show_default=True,
    help="The side of a search that the texts are on, for models that tell them apart.",
)


@click.command("embed-sparse")
@text_options()
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
@text_options()
@_KIND
def embed_multi(model: str, files: tuple[str, ...], target: str, *, kind: Kind, truncate: bool, **given: Any) -> None:
    """Embed each line of FILEs as several vectors with a ColBERT-type MODEL; - or no file is standard input.

    Writes an object a line: index, and embeddings, an array of vectors.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        return [{"embeddings": vectors} for vectors in opened.embed_multi(texts, kind=kind, truncate=truncate)]

    run("embed-multi", compute, model, files, target, given)


@click.command("embed-hybrid")
@text_options()
def embed_hybrid(model: str, files: tuple[str, ...], target: str, *, truncate: bool, **given: Any) -> None:
    """Embed each line of FILEs in three ways at once with a model such as bge-m3; - or no file is standard input.

    Writes an object a line: index, embedding, the indices and values of a sparse vector, and embeddings, an array of vectors.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        made = opened.embed_hybrid(texts, truncate=truncate)
        return [
            {"embedding": dense, "indices": sparse.indices, "values": sparse.values, "embeddings": multi}
            for dense, sparse, multi in zip(made.dense, made.sparse, made.multi, strict=True)
        ]

    run("embed-hybrid", compute, model, files, target, given)


@click.command("embed-chunks")
@text_options(truncates=False)
@click.option(
    "--window", type=click.IntRange(min=1), metavar="N", help="Tokens of a chunk; as many as the model takes."
)
@click.option(
    "--overlap", type=click.IntRange(min=0), default=0, metavar="N", help="Tokens shared with the one before."
)
@click.option("--late", is_flag=True, help="Pool chunks from the states of the whole text (late chunking).")
def embed_chunks(
    model: str, files: tuple[str, ...], target: str, *, window: int | None, overlap: int, late: bool, **given: Any
) -> None:
    """Part each line of FILEs into chunks and embed each with MODEL; - or no file is standard input.

    Writes an object a line: index, and chunks with start and end in characters, tokens, and embedding.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        found = opened.embed_chunks(texts, window=window, overlap=overlap, late=late)
        return [{"chunks": [_chunk(chunk) for chunk in chunks]} for chunks in found]

    run("embed-chunks", compute, model, files, target, given)


def _chunk(chunk: Chunk) -> Record:
    return {"start": chunk.start, "end": chunk.end, "tokens": chunk.tokens, "embedding": chunk.vector}


@click.command("embed-tokens")
@text_options()
def embed_tokens(model: str, files: tuple[str, ...], target: str, *, truncate: bool, **given: Any) -> None:
    """Write the states of the tokens of each line of FILEs, before any pooling; - or no file is standard input.

    Writes an object a line: index, and embeddings, an array with a vector for each token, special ones included.
    """

    def compute(opened: Model, texts: Sequence[str]) -> list[Record]:
        return [{"embeddings": states} for states in opened.embed_tokens(texts, truncate=truncate)]

    run("embed-tokens", compute, model, files, target, given)
