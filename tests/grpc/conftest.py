from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest

from textmill.grpc import messages
from textmill.grpc.server import GrpcServer
from textmill.grpc.service import Service
from textmill.grpc.settings import GrpcSettings
from textmill.http.keys import Keys
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

METHODS: dict[str, Any] = {
    f"{service.full_name}/{method.name}": method for service in messages.SERVICES for method in service.methods
}

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Live:
    """A server on a real port, and a client of it that knows the messages."""

    server: GrpcServer
    channel: Any
    permits: Permits
    telemetry: Telemetry

    def call(self, rpc: str, given: Any = b"", *, metadata: Pairs = ()) -> Any:
        """A call under way: of a message as keywords or bytes, or of a stream of them."""
        method = METHODS[rpc]
        asked, answer = (getattr(messages, kind.name) for kind in (method.input_type, method.output_type))
        kinds = {False: "unary", True: "stream"}
        make = getattr(self.channel, f"{kinds[method.client_streaming]}_{kinds[method.server_streaming]}")

        def serialize(item: Any) -> bytes:
            data: bytes = item if isinstance(item, bytes) else asked(**item).SerializeToString()
            return data

        return make(f"/{rpc}", serialize, answer.FromString)(given, metadata=tuple(metadata), timeout=15)

    async def replies(self, rpc: str, given: Iterable[Any], *, metadata: Pairs = ()) -> list[Any]:
        """All answers of a bidirectional stream."""
        return [answer async for answer in self.call(rpc, given, metadata=metadata)]


async def outcome(call: Any) -> grpc.StatusCode:
    """The status of a call that ends well."""
    if hasattr(call, "__aiter__"):
        [answer async for answer in call]
    else:
        await call
    return await call.code()


async def refusal(call: Any) -> Any:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await outcome(call)
    return caught.value


Serve = Callable[..., Any]


@pytest.fixture
def model() -> RecordingModel:
    return RecordingModel()


@pytest.fixture
def settings() -> GrpcSettings:
    return GrpcSettings(version="1.2.3", message_limit=1 << 20, max_inputs=100, ahead=8)


@pytest.fixture
async def serve(settings: GrpcSettings) -> AsyncIterator[Serve]:
    """Starts servers of a store, or of models, with these settings in place of the fixture's."""
    started: list[Live] = []

    async def run(
        *models: Any,
        keys: Sequence[str] = (),
        limit: int | None = None,
        telemetry: Telemetry | None = None,
        **changes: Any,
    ) -> Live:
        store = models[0] if hasattr(models[0], "models") else RecordingStore(*models)
        permits, telemetry = Permits(limit), telemetry or Telemetry()
        service = Service(store, replace(settings, **changes), telemetry, permits, Keys(keys).admits)
        server = GrpcServer(service, "127.0.0.1:0")
        await server.start()
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{server.port}", options=[("grpc.max_receive_message_length", -1)]
        )
        started.append(Live(server, channel, permits, telemetry))
        return started[-1]

    yield run
    for live in started:
        await live.channel.close()
        await live.server.stop()


@pytest.fixture
async def live(serve: Serve, model: RecordingModel) -> Live:
    made: Live = await serve(model)
    return made
