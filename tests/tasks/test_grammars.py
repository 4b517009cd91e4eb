from __future__ import annotations

import pytest

from textmill.errors import InvalidInput
from textmill.tasks.grammars import check_grammar


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "yes" | "no"',
        'root ::= ("a" ("b" | "c"))*\n' * 300,  # brackets that are closed again
        f'root ::= "{"(" * 300}"',
        f"root ::= [{'(' * 300}]",
        f'root ::= "\\"{"(" * 300}"',
        f'# {"(" * 300}\nroot ::= "a"',
        f"root ::= {'(' * 256}",
    ],
    ids=["plain", "many", "a literal", "a class", "behind an escape", "a comment", "just so deep"],
)
def test_grammars_that_engines_survive_pass(grammar: str) -> None:
    check_grammar(grammar, "grammar")


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (f"root ::= {'(' * 257}", "more than 256 levels"),
        (f'root ::= "a" [(] {"(" * 257}', "more than 256 levels"),
        ('\0root ::= "a"', r"U\+0000"),
        ('root ::= "a' + "a" * 65_536, "at most 65536"),
    ],
    ids=["deep", "deep behind a class", "NUL", "long"],
)
def test_grammars_that_end_engines_are_refused(grammar: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        check_grammar(grammar, "grammar")
    assert caught.value.param == "grammar"
