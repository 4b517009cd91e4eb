from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textmill.errors import InvalidInput
from textmill.tasks.scores import check_scoring, scored, sigmoid, softmax


@pytest.mark.parametrize("scoring", ["Raw", "logits", 3])
def test_a_misspelt_scoring_is_refused(scoring: Any) -> None:
    with pytest.raises(InvalidInput, match="one of softmax, sigmoid, raw"):
        check_scoring(scoring)


def test_scores_neither_overflow_nor_vanish() -> None:
    logits = np.array([[-1e4, 0.0, 1e4]], np.float32)

    assert sigmoid(logits).tolist() == [[0.0, 0.5, 1.0]]
    assert softmax(logits).tolist() == [[0.0, 0.0, 1.0]]
    assert scored(logits, "raw") is logits
