from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from textmill.engine.engine import Engine, Policy
from textmill.testing.runtime import FakeRuntime

Serve = Callable[..., Engine]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start engines on fake runtimes, and close them at the end of the test with their gates open."""
    served: list[tuple[Engine, FakeRuntime]] = []

    def start(runtime: FakeRuntime, policy: Policy | None = None, **options: Any) -> Engine:
        engine = Engine(runtime, policy or Policy(batch_tokens=64), name="fake", **options)
        served.append((engine, runtime))
        engine.start()
        return engine

    yield start
    for engine, runtime in served:
        runtime.gate.open()
        runtime.warm_up_gate.open()
        engine.close()
