"""What the rpcs share: the store, the options, the metrics, the permits, and who may call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from textmill.contract import Answered
from textmill.errors import Overloaded
from textmill.grpc.served import Model, Store
from textmill.grpc.settings import GrpcSettings
from textmill.grpc.underway import Underway
from textmill.grpc.verb import Asking
from textmill.store.permits import NoPlace, Permits
from textmill.telemetry import Telemetry
from textmill.telemetry.counted import again

I = TypeVar("I")  # noqa: E741 - an input
O = TypeVar("O")  # noqa: E741 - options
R = TypeVar("R")

Admits = Callable[[Iterable[tuple[bytes, bytes]]], bool]
"""Whether a call with these metadata may be answered; their names are in lower case."""

Lend = Callable[[], AbstractAsyncContextManager[Model]]
"""Lends a call's model, loaded if need be, for as long as the context lasts."""

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
        self.underway = Underway()
        self.watching = Underway()

    async def ask(
        self, verb: Asking[I, O, R], model: Model, inputs: Sequence[I], options: O, *, part: bool = False
    ) -> R:
        """Compute these inputs as one call, and count them; ``part`` says that the request has other calls too.

        Raises Overloaded and what the model raises.
        """
        with nullcontext() if verb.free else self.permits.compute():
            started = time.perf_counter()
            made = await verb.ask(model, inputs, options)
        if isinstance(made, Answered):
            self.telemetry.observe_answer(model.info.name, made, time.perf_counter() - started, part=part)
        return made

    async def ask_patiently(
        self, verb: Asking[I, O, R], lend: Lend, inputs: Sequence[I], options: O, *, part: bool = False
    ) -> R:
        """`ask`, but wait where too much work waits already; the model is held while it computes."""
        asked = False
        while True:
            try:
                async with lend() as model:
                    with again() if asked else nullcontext():
                        return await self.ask(verb, model, inputs, options, part=part)
            except Overloaded as error:
                asked = asked or not isinstance(error, NoPlace)
                patience = error.retry_after
            await asyncio.sleep(min(patience, _PATIENCE_S))
