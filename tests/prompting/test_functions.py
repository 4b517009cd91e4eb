from __future__ import annotations

import itertools
import random

import pytest

from textmill.prompting.functions import FUNCTIONS, REFUSED
from textmill.prompting.limits import Budget
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilList, NilMap, Record, Texts, Value

LARGE = 2**63 - 1
HOSTILE: tuple[Value, ...] = (
    *(
        "",
        "a",
        "[1]",
        "9" * 5000,
        "-",
        "+",
        "1_0",
        "0x",
        ".",
        "\ud800",
        "é" * 50,
        "%",
        "%9999999999999999999d",
        "%" + "9" * 5000 + "d",
    ),
    *("%-+# 08.3v", "%[1]d", "%*d", '{"a":' * 50, "[1e999]", "1" + "0" * 400, "\0", "\u2028"),
    *(
        0,
        3,
        1,
        -1,
        LARGE,
        -LARGE - 1,
        10**9,
        True,
        False,
        0.0,
        -0.0,
        1.5,
        1e308,
        -1e308,
        5e-324,
        float("inf"),
        float("nan"),
    ),
    *(None, MISSING, NilList(), NilMap(), Texts(), Record("T", {"A": 1, "b": None})),
)
SPECIMENS = {"s": str, "i": int, "b": bool, "m": dict}


def hostile() -> list[Value]:
    """Made anew each time, since functions may change maps."""
    itself: dict[str, Value] = {}
    itself["a"] = itself
    nested: Value = []
    for _ in range(200):
        nested = [nested]
    return [*HOSTILE, [], ["a", None, 1.0], [HOSTILE[3]] * 3, {}, {"a": {"b": [1]}, "": None}, itself, nested]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_arguments_make_a_function_do_anything_but_answer_or_complain(name: str) -> None:
    chance = random.Random(name)  # noqa: S311 - which arguments are tried is no secret
    signature = FUNCTIONS[name]
    letters = signature.parameters.removesuffix("*")
    counts = range(len(letters) + 3 if signature.parameters.endswith("*") else len(letters) + 1)
    answers = 0
    for count, _ in itertools.product(counts, range(200)):
        fitting = [
            [each for each in hostile() if isinstance(each, SPECIMENS.get(letter, object))] for letter in letters
        ]
        kinds = [*fitting, *[fitting[-1]] * count][:count]
        arguments = [chance.choice(values) for values in kinds]
        try:
            signature.call(name, arguments, Budget())
        except Trouble:
            continue
        answers += 1

    assert answers or name == "fail"


def test_what_is_refused_is_no_function() -> None:
    assert not FUNCTIONS.keys() & REFUSED.keys()
    assert {"env", "now", "randInt", "uuidv4"} <= REFUSED.keys()
