"""The gRPC server: every service on one port, in the event loop that also serves HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import grpc

from textmill.grpc import calls, health, info, rerank
from textmill.grpc.embed import Dense, Sparse, Tokens
from textmill.grpc.messages import SERVICES
from textmill.grpc.port import listen
from textmill.grpc.predict import Labels, PairLabels
from textmill.grpc.reading import Decoding, Encoding
from textmill.grpc.reflection import reflection
from textmill.grpc.service import Service
from textmill.grpc.verb import Verb

_VERBS: Mapping[str, Verb[Any, Any, Any]] = {
    "Embed": Dense(),
    "EmbedSparse": Sparse(),
    "EmbedAll": Tokens(),
    "Predict": Labels(),
    "PredictPair": PairLabels(),
    "Tokenize": Encoding(),
    "Decode": Decoding(),
}
_OTHERS: Mapping[str, Callable[..., Any]] = {
    "Info": info.info,
    "Rerank": rerank.rerank,
    "RerankStream": rerank.rerank_stream,
}

_LAST_WORD_S = 0.5
"""How long clients that do not read hold up the end."""


class GrpcServer:
    """Serves `tei.v1`, health and reflection. Its methods belong to one event loop."""

    def __init__(self, service: Service, address: str) -> None:
        self._service = service
        self._address = address
        self._server: Any = None
        self.port = 0

    async def start(self) -> None:
        """Answer calls from now on. Raises ConfigInvalid where the address is taken."""
        server = grpc.aio.server(options=self._options())
        for name, methods in _handlers(self._service).items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
        self.port = listen(server, self._address)
        await server.start()
        self._server = server

    async def stop(self, grace_s: float = 0.0) -> None:
        """End the calls that are not done, each with UNAVAILABLE, and take no more. Without `start`, nothing.

        Answers that are still on their way to slow clients have ``grace_s`` seconds.
        """
        if self._server is not None:
            await self._service.watching.give_up(_LAST_WORD_S)
            await self._service.underway.give_up(_LAST_WORD_S)
            await self._server.stop(grace_s)

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self._service.settings.message_limit),
            ("grpc.max_send_message_length", -1),
            # Two servers must not share a port by mistake.
            ("grpc.so_reuseport", 0),
            # Clients may ask every ten seconds whether the server lives; by default those who ask more often than every five
            # minutes are sent away.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Clients that have vanished without a word are found out.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]


def _handlers(service: Service) -> dict[str, Mapping[str, Any]]:
    """The handlers of all services by name; those of tei.v1 take and give bytes."""
    made: dict[str, Mapping[str, Any]] = {
        described.full_name: {method.name: _handler(service, method) for method in described.methods}
        for described in SERVICES
    }
    checks = health.Health(service)
    made[health.SERVICE.full_name] = {
        "Check": grpc.unary_unary_rpc_method_handler(checks.check),
        "Watch": grpc.unary_stream_rpc_method_handler(checks.watch),
    }
    return {**made, **reflection(list(made), [health.FILE])}


def _handler(service: Service, method: Any) -> Any:
    rpc = f"{method.containing_service.full_name}/{method.name}"
    if method.name in _OTHERS:
        handle: Callable[..., Any] = _OTHERS[method.name]
    else:
        verb = _VERBS[method.name.removesuffix("Stream")]
        handle = partial(calls.stream if method.server_streaming else calls.unary, verb)
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    return make(partial(handle, service, rpc))
