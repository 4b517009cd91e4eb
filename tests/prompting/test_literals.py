from __future__ import annotations

import pytest

from textmill.prompting.literals import character, number, string
from textmill.prompting.trouble import Trouble


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # https://go.dev/ref/spec#Integer_literals and #Floating-point_literals, the examples there
        ("42", 42),
        ("4_2", 42),
        ("0600", 384),
        ("0_600", 384),
        ("0o600", 384),
        ("0O600", 384),
        ("0xBadFace", 0xBADFACE),
        ("0x_67_7a", 0x677A),
        ("0b101", 5),
        ("-0x10", -16),
        ("+3", 3),
        ("-9223372036854775808", -(2**63)),
        ("0.", 0.0),
        ("072.40", 72.4),
        ("1.e+0", 1.0),
        ("6.67428e-11", 6.67428e-11),
        ("1E6", 1e6),
        (".25", 0.25),
        ("0.15e+0_2", 15.0),
        ("1_5.", 15.0),
    ],
)
def test_numbers_are_those_of_go(text: str, expected: float) -> None:
    value = number(text)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_42",
        "42_",
        "4__2",
        "0_xBadFace",
        "08",
        "1e",
        "0x",
        "1.5.5",
        ".",
        "1i",
        "0x1p2",
        "1e999",
        "9223372036854775808",
        "٣",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Trouble):
        number(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"a\a\b\f\n\r\t\v\\\""', 'a\a\b\f\n\r\t\v\\"'),
        (r'"\377\x41\u65e5\U0001F600"', "\ufffdA日😀"),
        (r'"\xe6\x97\xa5"', "日"),  # bytes make one character together
        ('`a\\n\r\n"`', 'a\\n\n"'),  # carriage returns are discarded from raw strings
        ('"日"', "日"),
    ],
)
def test_texts_are_those_of_go(text: str, expected: str) -> None:
    assert string(text) == expected


@pytest.mark.parametrize("text", [r'"\'"', r'"\z"', r'"\x4"', r'"\uD800"', r'"\U00110000"', r'"\400"', r'"\12"'])
def test_what_is_no_escape_is_refused(text: str) -> None:
    with pytest.raises(Trouble, match="is no escape"):
        string(text)


def test_a_character_is_its_number() -> None:
    assert [character(text) for text in ("'a'", "'é'", r"'\''", r"'\n'", r"'\u00e9'")] == [97, 233, 39, 10, 233]
    for text in ("''", "'ab'", r"'\"'"):
        with pytest.raises(Trouble):
            character(text)
