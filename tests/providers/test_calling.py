from __future__ import annotations

import json

from textmill.providers.calling import Calling


def test_an_answer_that_is_nested_too_deep_is_told_as_it_is() -> None:
    deep = "[" * 100_000

    assert Calling().read(json.dumps({"name": "answer", "arguments": deep}), ()) == (deep, ())
