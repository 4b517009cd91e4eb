from __future__ import annotations

import pytest

from textmill.contract import Format
from textmill.errors import InvalidInput
from textmill.providers.genai.rules import format_tag


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no JSON"):
        format_tag(Format("json_schema", "[" * 100_000))
