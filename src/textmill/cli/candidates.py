"""How a model may run on this machine, how fast and how exact each way is, and which is the fastest that is exact enough."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from textmill.cli.throughput import Workload, measure
from textmill.contract import (
    Answered,
    ClassifyOptions,
    EmbedOptions,
    Input,
    MultiOptions,
    RerankOptions,
    SparseOptions,
)
from textmill.errors import ConfigInvalid

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import numpy.typing as npt

    from textmill.store.model import Model

    Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run a model; None means the backend's own choice."""

    dtype: str
    threads: int | None = None
    max_batch_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """How a candidate did: tokens a second on mixed lengths, and the smallest cosine to float32 on built-in texts."""

    candidate: Candidate
    tokens_per_s: float
    cosine: float


Try = Callable[[Candidate], Trial]


def search(
    attempt: Try, *, threads: int, batch_tokens: Callable[[], int], tolerance: float
) -> tuple[Trial, list[Trial]]:
    """The fastest trial whose cosine is within ``tolerance`` of 1, and all trials.

    One thing after another, each with the best of what came before: precision, then threads, then the batch's budget
    around ``batch_tokens``, which is asked for after the first trial. float32 is always within.
    """
    trials = list(_precisions(attempt))
    best = _best(trials, tolerance)
    fewer = sorted({max(1, threads // 2)} - {threads})
    trials += [attempt(Candidate(best.candidate.dtype, count)) for count in fewer]
    best = _best(trials, tolerance)
    budgets = (batch_tokens() // 2, batch_tokens() * 2)
    trials += [attempt(Candidate(best.candidate.dtype, best.candidate.threads, budget)) for budget in budgets]
    return _best(trials, tolerance), trials


def _precisions(attempt: Try) -> Iterator[Trial]:
    """The exact precision first, then those that the backend has."""
    yield attempt(Candidate("float32"))
    for dtype in ("bfloat16", "int8"):
        try:
            yield attempt(Candidate(dtype))
        except ConfigInvalid as error:  # all other options have just been found right
            _log.warning("%s is left out: %s", dtype, error)


def try_on(model: Model, candidate: Candidate, exact: Floats | None, texts: Sequence[str]) -> tuple[Trial, Floats]:
    """How a loaded model does, against the answers ``exact`` of the same texts (None: it is the exact one); and its answers."""
    model.wait_until_warm()
    verb, answers = _verb(model)
    made = answers(texts)
    cosine = 1.0 if exact is None else float(_cosines(made, exact).min())
    result = measure(lambda inputs, _options: verb(inputs), Workload("mixed", 0, model.info.max_tokens))
    return Trial(candidate, result.tokens_per_s, cosine), made


def _best(trials: Sequence[Trial], tolerance: float) -> Trial:
    within = [trial for trial in trials if trial.candidate.dtype == "float32" or trial.cosine >= 1 - tolerance]
    return max(within, key=lambda trial: trial.tokens_per_s)


def _cosines(made: Floats, exact: Floats) -> Floats:
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(exact, axis=1)
    cosines: Floats = np.einsum("nd,nd->n", made, exact) / np.maximum(lengths, 1e-12)
    return cosines


def _verb(model: Model) -> tuple[Callable[[Sequence[Input]], Awaitable[Answered]], Callable[[Sequence[str]], Floats]]:
    """What the model does, for measuring, and its answers as one vector a text, or as one of all texts' scores."""
    tasks = model.info.tasks
    if "embed" in tasks:
        return lambda inputs: model.embed_inputs(inputs, EmbedOptions(prompt="")), model.embed
    if "classify" in tasks:
        raw = ClassifyOptions(scoring="raw")

        def scores(texts: Sequence[str]) -> Floats:
            rows = [[each[label] for label in model.info.labels] for each in model.classify(texts, scoring="raw")]
            return np.array(rows, np.float32).T if len(model.info.labels) == 1 else np.array(rows, np.float32)

        return lambda inputs: model.classify_inputs(inputs, raw), scores
    if "embed_sparse" in tasks:
        return lambda inputs: model.embed_sparse_inputs(inputs, SparseOptions()), lambda texts: _full(model, texts)
    if "embed_multi" in tasks:
        return (
            lambda inputs: model.embed_multi_inputs(inputs, MultiOptions()),
            lambda texts: np.concatenate(model.embed_multi(texts)),
        )
    if "rerank" in tasks:

        def ranks(texts: Sequence[str]) -> Floats:
            ranked = sorted(model.rerank(texts[0], texts, scoring="raw"), key=lambda each: each.index)
            return np.array([[each.score for each in ranked]], np.float32)

        return lambda inputs: model.rerank_inputs("what", [str(i) for i in inputs], RerankOptions()), ranks
    msg = f"tuning measures vectors and scores; this model can {', '.join(tasks)}"
    raise ConfigInvalid(msg)


def _full(model: Model, texts: Sequence[str]) -> Floats:
    rows = np.zeros((len(texts), model.info.vocabulary), np.float32)
    for row, vector in zip(rows, model.embed_sparse(texts), strict=True):
        row[vector.indices] = vector.values
    return rows
