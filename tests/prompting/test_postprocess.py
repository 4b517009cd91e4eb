from __future__ import annotations

import pytest

from textmill.errors import ModelBroken
from textmill.prompting import Cleaning

ANSWER = " <think>long\nthought</think>\nAnswer: <b>42</b> <b>43</b>. \n"


@pytest.mark.parametrize(
    ("cleaning", "expected"),
    [
        (Cleaning.of(), ANSWER),
        (Cleaning.of(cutstrings=["(?s)<think>.*?</think>"]), " \nAnswer: <b>42</b> <b>43</b>. \n"),
        (Cleaning.of(cutstrings=["<think>.*?</think>"]), ANSWER),  # without s a . is no line break
        (Cleaning.of(cutstrings=["<[^>]*>", "4"]), " long\nthought\nAnswer: 2 3. \n"),
        (Cleaning.of(extract_regex=["<b>.*?</b>"]), "<b>42</b>"),
        (Cleaning.of(extract_regex=["43", "<b>.*?</b>", "no"]), "43<b>42</b>"),
        (Cleaning.of(extract_regex=["no"]), ANSWER),
        (Cleaning.of(extract_regex=[r"\.\s+$"]), ". \n"),
        (Cleaning.of(extract_regex=[r"\.$"]), ANSWER),  # $ is the very end in Go
        (Cleaning.of(trimspace=["no"]), ANSWER.strip()),
        (Cleaning.of(trimspace=[" <think>", "long"]), ANSWER.strip().removeprefix("<think>long").strip()),
        (Cleaning.of(trimsuffix=["\n"]), ANSWER.strip()),
        (Cleaning.of(trimsuffix=["\n", ".", "</b>"]), ANSWER.strip().removesuffix("</b>.")),
        (Cleaning.of(reply_prefix="> "), "> " + ANSWER),
    ],
)
def test_each_field_does_its_part(cleaning: Cleaning, expected: str) -> None:
    assert cleaning.clean(ANSWER) == expected


def test_the_order_is_prefix_cut_extract_trim() -> None:
    cleaning = Cleaning.of(
        cutstrings=["x"],  # first: the extraction no longer sees an x
        extract_regex=["> .*"],
        trimspace=["> "],
        trimsuffix=["!", "a"],
        reply_prefix="> ",
    )

    assert cleaning.clean("bxa !", echo="the promxpt ") == "b"


def test_an_echo_stands_before_the_answer() -> None:
    assert Cleaning.of(reply_prefix="> ").clean("answer", echo="prompt") == "prompt> answer"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"cutstrings": ["a", "(b"]}, "cutstrings[1]: a ( has no ): '(b'"),
        (
            {"extract_regex": ["(?!x)"]},
            "extract_regex[0]: (?!x is unknown; neither looking ahead or behind nor groups of other kinds can be used: '(?!x)'",
        ),
    ],
)
def test_an_expression_that_go_refuses_is_named(fields: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(ModelBroken) as caught:
        Cleaning.of(**fields)  # type: ignore[arg-type] # only lists of texts are in the table

    assert str(caught.value) == sentence


@pytest.mark.parametrize("field", ["cutstrings", "extract_regex"])
def test_an_expression_that_takes_too_long_is_stopped(field: str) -> None:
    cleaning = Cleaning.of(**{field: [r"(x+x+)+y"]}, seconds=0.05)  # type: ignore[arg-type] # only lists of texts

    with pytest.raises(ModelBroken, match=rf"^{field}\[0\] takes more than 0.05 seconds on an answer"):
        cleaning.clean("x" * 5000)
