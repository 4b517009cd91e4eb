"""The way to a backend: its rpcs over one gRPC channel, from threads that wait and from event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc

from textmill.errors import Unavailable
from textmill.providers.codes import error_of
from textmill.providers.messages import METHODS, SERVICE, reader_of

MESSAGE_BYTES = 50 * 1024 * 1024
"""Largest message, as backends have it."""
_FOREVER_MS = 2**31 - 1
_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment is for the world outside
    ("grpc.use_local_subchannel_pool", 1),  # else an address is remembered as dead beyond this channel
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.client_idle_timeout_ms", _FOREVER_MS),
)


class Wire:
    """A channel to the backend ``name`` at an address. ``token``, where there is one, goes with each call. Thread-safe."""

    def __init__(self, name: str, address: str, token: str = "") -> None:
        self.name = name
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._calls: Mapping[str, Any] = {
            method: self._channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=takes.SerializeToString,
                response_deserializer=reader_of(method),
            )
            for method, (takes, _) in METHODS.items()
        }

    def ask(self, method: str, request: Any, seconds: float) -> Any:
        """The answer of an rpc; blocks. Raises what `textmill.providers.codes.error_of` gives."""
        call = self._begin(method, request, seconds)
        error = call.exception()
        if error is not None:
            raise error_of(error, self.name, method)
        return call.result()

    async def call(self, method: str, request: Any, seconds: float) -> Any:
        """`ask` for event loops; who is cancelled cancels the rpc."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        call = self._begin(method, request, seconds)

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def tell(_: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle)

        call.add_done_callback(tell)
        try:
            await done
        finally:
            call.cancel()  # nothing where it is done
        error = call.exception()
        if error is not None:
            raise error_of(error, self.name, method)
        return call.result()

    def close(self) -> None:
        """End all calls under way, and take no more. Any thread may call it, and again."""
        self._channel.close()

    def _begin(self, method: str, request: Any, seconds: float) -> Any:
        try:
            return self._calls[method].future(request, timeout=seconds, metadata=self._metadata)
        except ValueError as error:  # gRPC's word for a closed channel
            msg = f"the backend {self.name} has been closed"
            raise Unavailable(msg) from error
