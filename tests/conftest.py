from __future__ import annotations

import os

import pytest

from textmill.config.tei import SPELLINGS


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option of the person who runs the tests reaches them, and none of them reaches the hub."""
    for name in list(os.environ):  # noqa: TID251 - to clear it
        if name.startswith(("TEXTMILL_", "HF_")) or name in {spelling.variable for spelling in SPELLINGS}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
