"""What errors of servers of OpenAI's protocol say."""

from __future__ import annotations

import orjson
import pytest

from textmill.errors import InvalidInput
from textmill.providers.openai_errors import ServerName, error_of

KEY = "secret-key-9"


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("messages[0].role", "messages[0].role"),
        (None, None),
        ("", None),
        (3, None),
        (["messages"], None),
        (f"the key {KEY} is odd", None),
        (KEY, None),
        ("x" * 101, None),
    ],
)
def test_what_is_no_field_is_not_given_on(param: object, told: str | None) -> None:
    body = orjson.dumps({"error": {"message": "no", "param": param}})
    error = error_of(ServerName("mill", key=KEY), 400, {}, body)
    assert isinstance(error, InvalidInput)
    assert error.param == told
