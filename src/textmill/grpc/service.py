"""What the rpcs share: the store, the options, the metrics, the permits, and who may call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TypeVar

from textmill.contract import Answered
from textmill.errors import Overloaded
from textmill.grpc.served import Model, Store
from textmill.grpc.settings import GrpcSettings
from textmill.grpc.verb import Verb
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry

I = TypeVar("I")  # noqa: E741 - an input
O = TypeVar("O")  # noqa: E741 - options
R = TypeVar("R")

Admits = Callable[[Iterable[tuple[bytes, bytes]]], bool]
"""Whether a call with these metadata may be answered; their names are in lower case."""

_PATIENCE_S = 1.0
"""How long a stream waits at most before it knocks again."""


class Service:
    """The server's parts, for its rpcs."""

    def __init__(
        self, store: Store, settings: GrpcSettings, telemetry: Telemetry, permits: Permits, admits: Admits
    ) -> None:
        self.store = store
        self.settings = settings
        self.telemetry = telemetry
        self.permits = permits
        self.admits = admits

    async def ask(self, verb: Verb[I, O, R], model: Model, inputs: Sequence[I], options: O) -> R:
        """Compute these inputs as one call, and count them. Raises Overloaded and what the model raises."""
        with nullcontext() if verb.free else self.permits.compute():
            made = await verb.ask(model, inputs, options)
        if isinstance(made, Answered):
            self.telemetry.observe_answer(model.info.name, made)
        return made

    async def ask_patiently(self, verb: Verb[I, O, R], model: Model, inputs: Sequence[I], options: O) -> R:
        """`ask`, but wait where too much work waits already."""
        while True:
            try:
                return await self.ask(verb, model, inputs, options)
            except Overloaded as error:
                await asyncio.sleep(min(error.retry_after, _PATIENCE_S))
