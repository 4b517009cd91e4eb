from __future__ import annotations

import pytest

from textmill.errors import TemplateBroken
from textmill.prompting.lexer import Kind, tokens


def texts(source: str) -> list[str]:
    return [token.text for token in tokens("t", source) if token.kind is Kind.TEXT]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # https://pkg.go.dev/text/template#hdr-Text_and_spaces: the example of the documentation
        ("{{23 -}} < {{- 45}}", ["<"]),
        ("a {{- 1 -}} b", ["a", "b"]),
        ("a \t\r\n{{- 1 -}}\n\n b ", ["a", "b "]),
        # a marker needs a space on its inner side; {{-3}} is the number -3
        ("a {{-3}} b", ["a ", " b"]),
        # only ASCII spaces are trimmed
        ("a\u00a0 {{- 1 -}} \u00a0b", ["a\u00a0", "\u00a0b"]),
        ("a {{- /* x */ -}} b", ["a", "b"]),
        ("a {{/* x\n}} */}} b", ["a ", " b"]),
        ("a } } { { b", ["a } } { { b"]),
        (" {{- 1}}", []),
        ("{{1 -}}\n", []),
        ("a {{- 1 -}} {{- 2 -}} b", ["a", "b"]),
    ],
)
def test_spaces_are_trimmed_on_the_side_of_a_marker(source: str, expected: list[str]) -> None:
    assert texts(source) == expected


def test_tokens_have_their_kinds_and_places() -> None:
    source = "x{{ if eq .A.b $v 'c' -1.5 | f }}"

    found = [(token.kind.name, token.text, token.pos) for token in tokens("t", source) if token.kind is not Kind.SPACE]

    assert found == [
        ("TEXT", "x", 0),
        ("OPEN", "{{", 1),
        ("KEYWORD", "if", 4),
        ("NAME", "eq", 7),
        ("FIELD", ".A", 10),
        ("FIELD", ".b", 12),
        ("VARIABLE", "$v", 15),
        ("CHARACTER", "'c'", 18),
        ("NUMBER", "-1.5", 22),
        ("PIPE", "|", 27),
        ("NAME", "f", 29),
        ("CLOSE", "}}", 31),
        ("END", "", 33),
    ]
    assert all(source[token.pos :].startswith(token.text) for token in tokens("t", source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a\nb {{ .x", "t:2:3: this action has no end; it ends with }}"),
        ('{{ "abc\n" }}', 't:1:4: a text that begins with " needs a closing " on the same line'),
        ("{{ `abc }}", "t:1:4: a text that begins with ` needs a closing `"),
        ("{{ 'a }}", "t:1:4: a character that begins with ' needs a closing ' on the same line"),
        ("\n\n{{/* x", "t:3:1: a comment has no end; it ends with */}}"),
        ("{{/* x */ y}}", "t:1:8: a comment must be alone in its action; }} or a space and -}} comes right behind */"),
        ("{{ /* x */}}", "t:1:4: a comment must begin right behind {{ or {{-"),
        ("é{{(1}}", "t:1:4: this ( has no )"),
        ("{{1)}}", "t:1:4: this ) has no ("),
        ("{{$x : 1}}", "t:1:6: a colon cannot stand alone; variables are made with :="),
        ("{{.x?}}", "t:1:5: '?' cannot follow '.x'; put a space or an operator such as | between them"),
        (
            "{{-.Input}}",
            "t:1:3: a - that trims needs a space on its inner side, as in {{- .Input -}}; one of a number needs its digits behind it",
        ),
        ("{{ ? }}", "t:1:4: '?' means nothing inside {{ }}; put text in quotes"),
    ],
)
def test_faults_have_their_place(source: str, expected: str) -> None:
    with pytest.raises(TemplateBroken) as caught:
        tokens("t", source)

    assert str(caught.value) == expected
