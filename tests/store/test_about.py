"""What is said about a computed call beside its answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from textmill.contract import Embeddings, Timings
from textmill.store.about import about
from textmill.testing.served import RecordingModel


@pytest.mark.parametrize(("cached", "shown"), [(0, None), (2, "2")])
def test_inputs_from_the_cache_are_told_of_where_there_are_some(cached: int, shown: str | None) -> None:
    made = Embeddings(vectors=np.zeros((3, 4), np.float32), tokens=(5, 6, 7), truncated=(False,) * 3, timings=Timings())
    pairs = dict(about(RecordingModel().info, replace(made, cached=cached), 10, 0.0))
    assert pairs.get("x-cached-inputs") == shown
    assert (pairs["x-compute-tokens"], pairs["x-model-fingerprint"]) == ("18", "f00d")
