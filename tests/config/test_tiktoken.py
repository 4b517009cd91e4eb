from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from textmill.config import tiktoken_cache


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"TIKTOKEN_CACHE_DIR": "/a", "DATA_GYM_CACHE_DIR": "/b"}, Path("/a")),
        ({"DATA_GYM_CACHE_DIR": "/b"}, Path("/b")),
        ({}, Path(tempfile.gettempdir()) / "data-gym-cache"),
        ({"TIKTOKEN_CACHE_DIR": ""}, Path(tempfile.gettempdir()) / "data-gym-cache"),
    ],
)
def test_the_cache_is_where_tiktoken_has_it(environ: dict[str, str], folder: Path) -> None:
    assert tiktoken_cache(environ) == folder
