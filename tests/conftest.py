from __future__ import annotations

import logging
import os
import sys

import pytest

from textmill.config.tei import SPELLINGS

OPTIONS = {spelling.variable for spelling in SPELLINGS}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option of the person who runs the tests reaches them, and none of them reaches the hub."""
    for name in list(os.environ):  # noqa: TID251 - to clear it
        if name.startswith(("TEXTMILL_", "HF_")) or name in OPTIONS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def pytest_runtest_teardown() -> None:
    """Let PyTorch's loggers propagate: around each phase of each test pytest adds two handlers to every logger that does not, and PyTorch has dozens."""
    if "torch" in sys.modules:
        for name, logger in logging.root.manager.loggerDict.items():
            if name.startswith("torch.") and isinstance(logger, logging.Logger):
                logger.propagate = True
