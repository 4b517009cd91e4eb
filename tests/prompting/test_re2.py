"""What Go's regexp made of the same expressions; `scripts/go_templates.py` wrote it down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from textmill.prompting.re2 import MOST_CHARACTERS, compiled
from textmill.prompting.trouble import Trouble

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden/go_templates.json").read_text())[
    "expressions"
]


@pytest.mark.parametrize(
    "golden", [each for each in GOLDEN if "error" not in each], ids=lambda each: each["expression"]
)
def test_an_expression_matches_what_it_matches_in_go(golden: dict[str, str]) -> None:
    pattern = compiled(golden["expression"])
    match = pattern.search(golden["text"])

    assert pattern.sub("", golden["text"]) == golden["cut"]
    assert (match.group() if match else "") == golden["first"]


@pytest.mark.parametrize("golden", [each for each in GOLDEN if "error" in each], ids=lambda each: each["expression"])
def test_what_go_refuses_is_refused(golden: dict[str, str]) -> None:
    with pytest.raises(Trouble):
        compiled(golden["expression"])


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("a(?=b)", "(?=b is unknown; neither looking ahead or behind nor groups of other kinds can be used"),
        (r"(a)\1", r"\1 is unknown; an expression cannot refer to its groups"),
        (r"a\y", r"\y is unknown"),
        ("a++", "++ repeats twice; put what is repeated in ( )"),
        ("*a", "there is nothing before * that it could repeat"),
        ("(a", "a ( has no )"),
        ("a)", "a ) has no ("),
        ("[a", "a [ has no ]"),
        ("a{1001}", "{1001} is no number of times; the most is 1000, and the smaller comes first"),
        ("(" * 10_000, "groups are nested more than 100 deep"),
        ("a" * (MOST_CHARACTERS + 1), "the expression has more than 10,000 characters"),
    ],
)
def test_faults_say_what_is_wrong(expression: str, sentence: str) -> None:
    with pytest.raises(Trouble) as caught:
        compiled(expression)

    assert str(caught.value) == sentence


def test_groups_keep_their_names() -> None:
    match = compiled(r"<function=(?P<name>\w+)>(?P<arguments>.*)</function>").search('<function=f>{"a": 1}</function>')

    assert match is not None
    assert match.groupdict() == {"name": "f", "arguments": '{"a": 1}'}
