from __future__ import annotations

import pytest

from textmill.folder.nodes import Scalar


def plain(text: str) -> Scalar:
    return Scalar(text, plain=True, line=1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("true", True), ("False", False), ("yes", "yes"), ("off", "off")),
        *(
            ("7", 7),
            ("-7", -7),
            ("0x1F", 31),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("1.5", 1.5),
            ("1e3", 1000.0),
        ),
        *(("12:30", "12:30"), ("1.2.3", "1.2.3"), (".inf", ".inf"), ("1e999", "1e999"), ("2026-11-26", "2026-11-26")),
    ],
)
def test_what_a_plain_text_means_where_no_type_is_wanted(text: str, value: object) -> None:
    found = plain(text).as_any()

    assert found == value
    assert type(found) is type(value)


def test_a_text_in_quotes_is_a_text() -> None:
    quoted = Scalar("7", plain=False, line=1)

    assert quoted.as_any() == "7"
    assert quoted.as_int() is quoted.as_float() is quoted.as_bool() is None
    assert not Scalar("null", plain=False, line=1).is_null


@pytest.mark.parametrize(
    ("text", "value"), [("8192.0", 8192), ("1e3", 1000), ("1.5", None), ("x", None), ("1e300", None)]
)
def test_a_number_without_a_fraction_is_whole_where_that_is_wanted(text: str, value: int | None) -> None:
    assert plain(text).as_int() == value


@pytest.mark.parametrize(("text", "value"), [("on", True), ("No", False), ("1", None), ("y", None)])
def test_yes_and_on_mean_true_where_that_is_wanted(text: str, value: bool | None) -> None:  # noqa: FBT001 - an expectation
    assert plain(text).as_bool() is value


def test_a_number_of_a_million_digits_is_a_text_at_once() -> None:
    assert plain("9" * 1_000_000).as_int() is None
