from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config import read_keys
from textmill.errors import ConfigInvalid


def test_a_key_a_line_without_remarks_and_blanks(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes("\ufeff# team a\nfirst\r\n\n  second \t\n  # third\nke#y\n".encode())
    assert read_keys(str(file)) == ("first", "second", "ke#y")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"# only a remark\n"])
def test_a_file_without_a_key_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid, match="holds none"):
        read_keys(str(file))


def test_what_cannot_be_read_is_named_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="missing cannot be read: No such file"):
        read_keys(str(tmp_path / "missing"))
    file = tmp_path / "keys"
    file.write_bytes(b"secret\xff")
    with pytest.raises(ConfigInvalid, match="not text in UTF-8") as caught:
        read_keys(str(file))
    assert "secret" not in str(caught.value)


def test_a_json_file_holds_a_list(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    file.write_text('["a", "b "]')
    assert read_keys(str(file)) == ("a", "b")
    file.write_text('{"a": "s3cret"}')
    with pytest.raises(ConfigInvalid, match=r"no JSON list of texts$"):
        read_keys(str(file))
    file.write_text("[]")
    with pytest.raises(ConfigInvalid, match="holds none"):
        read_keys(str(file))
