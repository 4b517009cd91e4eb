"""A model whose inputs are counted as they come in, whichever dialect they come by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, cast

from textmill.telemetry.tei import Family

M = TypeVar("M")

_VERBS: Mapping[str, Family] = {
    "embed_inputs": "embed",
    "embed_chunks_inputs": "embed",
    "embed_sparse_inputs": "embed",
    "embed_multi_inputs": "embed",
    "embed_hybrid_inputs": "embed",
    "embed_tokens_inputs": "embed",
    "classify_inputs": "predict",
    "classify_tokens_inputs": "predict",
    "classify_zero_shot_inputs": "predict",
    "rerank_inputs": "predict",
}
"""The verbs for servers."""


_AGAIN: ContextVar[bool] = ContextVar("textmill_again", default=False)


@contextmanager
def again() -> Iterator[None]:
    """While this lasts, calls ask for inputs that have been counted: a part of a group that failed, or after a wait."""
    before = _AGAIN.set(True)
    try:
        yield
    finally:
        _AGAIN.reset(before)


class _Counts(Protocol):
    def observe_inputs(self, family: Family, inputs: int) -> None: ...


class _Counted:
    def __init__(self, model: Any, counts: _Counts) -> None:
        self._model = model
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        family = _VERBS.get(name)
        if family is None or name.removesuffix("_inputs") not in self._model.info.tasks:
            return found  # what the model cannot do it refuses, and no input is counted
        counts, place = self._counts, 1 if name == "rerank_inputs" else 0

        def verb(*given: Any, **options: Any) -> Any:
            if not _AGAIN.get():
                counts.observe_inputs(family, len(given[place]))
            return found(*given, **options)

        setattr(self, name, verb)  # found at once from now on
        return verb


def counted(model: M, counts: _Counts) -> M:
    """The model, but every call of a verb for servers is told to ``counts`` before it begins."""
    return cast("M", _Counted(model, counts))
