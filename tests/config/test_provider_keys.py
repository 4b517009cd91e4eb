"""Keys for servers elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config import provider_key, proxy_for
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


@pytest.mark.parametrize(
    ("unproxied", "host", "through"),
    [
        ("", "api.openai.com", True),
        ("openai.com", "api.openai.com", False),
        (".openai.com:443, x", "API.openai.com", False),
        ("*.openai.com", "api.openai.com", False),
        ("penai.com", "api.openai.com", True),
        ("*", "api.openai.com", False),
        (" , ", "api.openai.com", True),
    ],
)
def test_a_host_is_reached_by_the_proxy_unless_it_is_named(unproxied: str, host: str, *, through: bool) -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": unproxied}
    assert (proxy_for(host, environ) == "http://proxy:3128") == through
    assert proxy_for(host, {}) is None
