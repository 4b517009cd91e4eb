"""OpenAI's protocol for embeddings, and that of Jina, Together, Fireworks, vLLM and others for ranking, which OpenAI has none for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textmill.contract import Scoring
from textmill.providers.openai_fields import Unfit, count, finite, object_of, table, tables
from textmill.providers.remote_dialect import EmbedPiece, RankPiece, Request, Told


class OpenAIEmbedding:
    """POST ``/embeddings`` and ``/rerank`` below the base URL."""

    takes_ids = True
    scorings: tuple[Scoring, ...] = ()

    def embed(self, piece: EmbedPiece) -> Request:
        """Inputs with the model, and what says role, dimensions and encoding."""
        body = {"model": piece.model, piece.input_field or "input": piece.inputs, **piece.fields}
        if piece.encoding_field:
            body[piece.encoding_field] = "base64"
        return Request("/embeddings", body)

    def vectors(self, answer: Any, inputs: int) -> Told:
        """Those in ``data`` by their numbers, which may be in any order, or missing where the order is the inputs'."""
        told = object_of(answer)
        return Told(placed(tables(told, "data"), "embedding", inputs, "data"), tokens_of(told))

    def rank(self, piece: RankPiece) -> Request:
        """All texts are to come back, without their words."""
        body = {"model": piece.model, "query": piece.query, "documents": list(piece.texts), "top_n": len(piece.texts)}
        return Request("/rerank", {**body, "return_documents": False})

    def scores(self, answer: Any, texts: int) -> Told:
        """Those in ``results`` by their numbers."""
        told = object_of(answer)
        return Told(scores_in(tables(told, "results"), texts, "results"), tokens_of(told))


def placed(each_of: Sequence[Mapping[str, Any]], name: str, inputs: int, where: str) -> list[Any]:
    """The field of each object at the place that its ``index`` says, or where it stands. Raises Unfit unless there is one for each input."""
    every(each_of, inputs, where)
    values: list[Any] = [None] * inputs
    taken: set[int] = set()
    for standing, each in enumerate(each_of):
        place = standing if each.get("index") is None else count(each, "index")
        if place >= inputs or place in taken:
            msg = (
                f"gave vectors in {where} that are missing: the index {place} is there twice, or beyond {inputs} inputs"
            )
            raise Unfit(msg)
        taken.add(place)
        values[place] = each.get(name)
    return values


def every(values: Sequence[Any], inputs: int, where: str) -> Sequence[Any]:
    """The values, one for each input. Raises Unfit for fewer or more."""
    if len(values) != inputs:
        msg = f"gave {len(values) or 'no'} vectors in {where} for {inputs} inputs"
        raise Unfit(msg)
    return values


def scores_in(each_of: Sequence[Mapping[str, Any]], texts: int, where: str) -> list[float]:
    """The score of each text. Raises Unfit unless each has one."""
    scores: dict[int, float] = {}
    for each in each_of:
        place = count(each, "index")
        name = "relevance_score" if "relevance_score" in each else "score"
        if place >= texts or place in scores:
            break
        scores[place] = finite(each.get(name), name)
    if len(scores) != texts or len(each_of) != texts:
        msg = f"did not give one score in {where} for each of {texts} texts"
        raise Unfit(msg)
    return [scores[place] for place in range(texts)]


def tokens_of(told: Mapping[str, Any]) -> int:
    """The tokens that ``usage`` says were read; 0 where it says nothing."""
    usage = table(told, "usage")
    return count(usage, "prompt_tokens") or count(usage, "total_tokens")
