from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textmill.contract import Classifications, Timings
from textmill.errors import InvalidInput
from textmill.tasks.best import check_top, labelled


def test_labels_of_one_name_keep_their_best_score() -> None:
    scores = np.array([[0.1, 0.7, 0.2]], np.float32)
    answer = Classifications(labels=("a", "a", "b"), scores=scores, tokens=(1,), truncated=(False,), timings=Timings())

    assert labelled(answer) == [{"a": pytest.approx(0.7), "b": pytest.approx(0.2)}]


@pytest.mark.parametrize("top", [0, -1, 1.5, "1", True])
def test_a_top_that_is_no_number_of_texts_is_refused(top: Any) -> None:
    with pytest.raises(InvalidInput, match="top is"):
        check_top(top)
