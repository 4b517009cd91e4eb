from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from textmill.config.serving import TABLES


@pytest.fixture(scope="session", autouse=True)
def _bare_environment() -> Iterator[None]:
    """No option of the person who runs the tests reaches them, and none of them reaches the hub."""
    options = {name for table in TABLES for spelling in table.spellings for name in spelling.variables}
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # noqa: TID251 - to clear it
            if name.startswith(("TEXTMILL_", "HF_")) or name in options:
                patch.delenv(name)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def pytest_runtest_teardown() -> None:
    """Let PyTorch's loggers propagate: around each phase of each test pytest adds two handlers to every logger that does not, and PyTorch has dozens."""
    if "torch" in sys.modules:
        for name, logger in logging.root.manager.loggerDict.items():
            if name.startswith("torch.") and isinstance(logger, logging.Logger):
                logger.propagate = True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what repeats the order of a run that failed, which a quiet run does not."""
    if terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(
            f"This order again, in one process: --randomly-seed={config.getoption('randomly_seed', 'none')}"
        )
