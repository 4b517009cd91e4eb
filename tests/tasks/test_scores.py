from __future__ import annotations

import numpy as np

from textmill.tasks.scores import scored, sigmoid, softmax


def test_scores_neither_overflow_nor_vanish() -> None:
    logits = np.array([[-1e4, 0.0, 1e4]], np.float32)

    assert sigmoid(logits).tolist() == [[0.0, 0.5, 1.0]]
    assert softmax(logits).tolist() == [[0.0, 0.0, 1.0]]
    assert scored(logits, "raw") is logits
