"""textmill in this process: callers share one engine, as a program that imports it would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.closed_loop import Load, Run, in_tasks, in_threads
from bench.contenders import Vectors, library
from bench.messages import Settings

WARM_SECONDS = 120.0


class TextmillLibrary:
    """One loaded model, called from plain code for one client and from tasks for several."""

    def __init__(self, settings: Settings, dtype: str) -> None:
        self.model = library("textmill").load(settings.model, dtype=dtype)
        self.model.wait_until_warm(WARM_SECONDS)
        self.note = f"dtype={dtype}; one engine for all callers"
        self.runner = asyncio.Runner()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one call."""
        vectors: Vectors = self.model.embed(list(texts))
        return vectors

    def answer(self, load: Load) -> Run:
        """One client calls ``embed``; several are tasks on one event loop that await ``aembed``."""
        if load.clients == 1:
            return in_threads(self.embed, load, at_once=1)

        async def ask(number: int) -> None:
            await self.model.aembed(list(load.requests[number]))

        run = in_tasks(len(load.requests), ask, clients=load.clients, seconds=load.seconds, client="tasks")
        return self.runner.run(run)

    def close(self) -> None:
        """Stop the engine."""
        self.runner.close()
        self.model.close()


def load(settings: Settings, *, dtype: str) -> TextmillLibrary:
    """Load textmill with that precision."""
    return TextmillLibrary(settings, dtype)
