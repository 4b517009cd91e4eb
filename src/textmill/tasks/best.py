"""What callers in a program get of answers: plain lists, the best first where there are scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from textmill.contract import Classifications, Entities, Entity, Ranked, Scores
from textmill.errors import ForwardFailed, InvalidInput


def labelled(answer: Classifications) -> list[dict[str, float]]:
    """For each input every label with its score, best first; equal ones in the labels' order."""
    return [_by_label(answer.labels, scores) for scores in answer.scores]


def listed(answer: Entities) -> list[list[Entity]]:
    """The entities of each input."""
    return [list(entities) for entities in answer.entities]


def ranked(answer: Scores, texts: Sequence[str], top: int | None) -> list[Ranked]:
    """The texts, best first, equal ones in their order; at most ``top``."""
    return [Ranked(index, float(answer.scores[index]), texts[index]) for index in best_first(answer.scores)[:top]]


def check_top(top: int | None) -> None:
    """Raise InvalidInput for a number of the best that is none, or below 1."""
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        msg = f"top is {top!r}; it must be a number of at least 1"
        raise InvalidInput(msg, param="top")


def best_first(scores: npt.NDArray[np.float32]) -> list[int]:
    """Indices from the best score down; of equal scores the earlier comes first."""
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    return order


def descending(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Indices from the best score down; of equal scores the later comes first, as Text Embeddings Inference has it."""
    return np.argsort(scores, kind="stable")[::-1]


def refuse_no_numbers(scores: npt.NDArray[np.float32]) -> None:
    """Raise ForwardFailed for a score that is not a number, which has no place in an order."""
    if np.isnan(scores).any():
        msg = "the model gave a score that is not a number"
        raise ForwardFailed(msg)


def _by_label(labels: Sequence[str], scores: npt.NDArray[np.float32]) -> dict[str, float]:
    """Scores by label, best first; where labels have the same name, its best."""
    named: dict[str, float] = {}
    for index in best_first(scores):
        named.setdefault(labels[index], float(scores[index]))
    return named
