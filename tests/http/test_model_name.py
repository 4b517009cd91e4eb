from __future__ import annotations

import pytest

from textmill.http.model_name import parted


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("bge:query", {"bge"}, ("bge", "query")),
        ("bge:document", {"bge"}, ("bge", "document")),
        ("bge:passage", {"bge"}, ("bge", "document")),
        ("qwen:8b", {"qwen:8b"}, ("qwen:8b", None)),
        ("qwen:8b", {"qwen"}, ("qwen:8b", None)),
        ("qwen:8b:query", {"qwen:8b"}, ("qwen:8b", "query")),
        ("odd:query", {"odd:query", "odd"}, ("odd:query", None)),
        ("nobody:query", set(), ("nobody", "query")),
        ("bge:Query", {"bge"}, ("bge:Query", None)),
        (":query", {"bge"}, (":query", None)),
        ("bge", {"bge"}, ("bge", None)),
        ("", {"bge"}, ("", None)),
        (None, {"bge"}, (None, None)),
    ],
)
def test_a_side_is_parted_from_a_name_that_no_model_has(
    name: str | None, known: set[str], found: tuple[str | None, str | None]
) -> None:
    assert parted(name, known) == found
