"""Keys for servers elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config import provider_key
from textmill.errors import ConfigInvalid


def test_a_key_is_its_variables_or_in_the_file_that_another_names(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\ufeffsk-2\n")
    assert provider_key("A_API_KEY", {"A_API_KEY": " sk-1 ", "A_API_KEY_FILE": str(file)}) == "sk-1"
    assert provider_key("A_API_KEY", {"A_API_KEY": "", "A_API_KEY_FILE": str(file)}) == "sk-2"
    assert provider_key("A_API_KEY", {}) == ""


@pytest.mark.parametrize("content", [None, b"", b"sk-1\nsk-2\n", b"\xff"])
def test_a_file_that_has_no_key_is_an_error_without_what_is_in_it(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="A_API_KEY_FILE") as raised:
        provider_key("A_API_KEY", {"A_API_KEY_FILE": str(file)})
    assert "sk-1" not in str(raised.value)
