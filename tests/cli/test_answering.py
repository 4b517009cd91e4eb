from __future__ import annotations

import pytest

from textmill.cli.answering import Answer
from textmill.contract import Spent


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        (
            Spent(prompt_tokens=12, completion_tokens=20, cached=5, generation_s=2.0),
            "12 tokens of prompt (5 cached), 20 written, 10.0 tokens/s, the first after 0.50 s",
        ),
        (
            Spent(prompt_tokens=12, completion_tokens=20),
            "12 tokens of prompt, 20 written, 5.0 tokens/s, the first after 0.50 s",
        ),
        (None, "stopped after 4.5 s"),
    ],
)
def test_the_rate_is_the_engines_or_that_of_what_came(spent: Spent | None, expected: str) -> None:
    assert Answer(spent=spent, begun=10.0, first=10.5, over=14.5).stats == expected


def test_an_answer_without_a_word_has_no_rate() -> None:
    spent = Spent(prompt_tokens=3, completion_tokens=0)

    assert Answer(spent=spent, begun=1.0, over=1.0).stats == "3 tokens of prompt, 0 written"
