from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.grpc.conftest import Live, Serve, refusal

from textmill.contract import Known, ModelInfo, Task
from textmill.testing.served import RecordingModel, RecordingStore

SERVICES = ["", "tei.v1.Info", "tei.v1.Tokenize", "tei.v1.Embed", "tei.v1.Predict", "tei.v1.Rerank"]


def model_of(*tasks: Task) -> RecordingModel:
    model = RecordingModel()
    model.info = replace(model.info, tasks=tasks)
    return model


async def serving(live: Live) -> set[str]:
    stub = health_pb2_grpc.HealthStub(live.channel)
    return {
        name
        for name in SERVICES
        if (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status
        == health_pb2.HealthCheckResponse.SERVING
    }


@pytest.mark.parametrize(
    ("tasks", "services"),
    [
        (("embed",), {"tei.v1.Embed"}),
        (("embed_sparse",), {"tei.v1.Embed"}),
        (("classify",), {"tei.v1.Predict"}),
        (("classify", "rerank"), {"tei.v1.Predict", "tei.v1.Rerank"}),
    ],
)
async def test_the_services_serve_that_the_model_is_for(
    tasks: tuple[Task, ...], services: set[str], serve: Serve
) -> None:
    live = await serve(model_of(*tasks), keys=["key"])

    assert await serving(live) == {"", "tei.v1.Info", "tei.v1.Tokenize"} | services


async def test_one_of_several_models_is_enough_for_its_services(serve: Serve) -> None:
    live = await serve(model_of("embed"), model_of("classify"))

    assert await serving(live) == set(SERVICES) - {"tei.v1.Rerank"}


async def test_a_model_that_cannot_answer_serves_nothing(live: Live, model: RecordingModel) -> None:
    model.ready = False

    assert await serving(live) == set()


async def test_a_server_that_drains_serves_nothing_and_refuses_calls(live: Live) -> None:
    live.permits.drain()

    assert await serving(live) == set()
    assert (await refusal(live.call("tei.v1.Embed/Embed", {"inputs": "a"}))).code() is grpc.StatusCode.UNAVAILABLE


async def test_an_unknown_service_is_not_found(live: Live) -> None:
    stub: Any = health_pb2_grpc.HealthStub(live.channel)

    error = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="tei.v1.Nothing")))

    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_who_watches_is_told_of_changes(live: Live, model: RecordingModel) -> None:
    watch = health_pb2_grpc.HealthStub(live.channel).Watch(health_pb2.HealthCheckRequest(service="tei.v1.Embed"))
    first = (await watch.read()).status
    model.ready = False
    second = (await watch.read()).status
    watch.cancel()

    assert (first, second) == (health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING)


async def test_a_model_that_is_not_loaded_counts_as_one_that_can_answer(serve: Serve) -> None:
    class Lazy(RecordingStore):
        def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, RecordingModel | None]]:
            del everything
            ranks = Known(name="ranks", source="ranks", tasks=("rerank",))
            refused = Known(name="classes", source="classes", tasks=("classify",), refusal="its engine is missing")
            return [(ranks, None, None), (refused, None, None)]

    live = await serve(Lazy())

    assert await serving(live) == {"", "tei.v1.Info", "tei.v1.Tokenize", "tei.v1.Rerank"}


async def test_who_watches_does_not_hold_up_the_end(live: Live) -> None:
    watch = health_pb2_grpc.HealthStub(live.channel).Watch(health_pb2.HealthCheckRequest())
    await watch.read()

    await asyncio.wait_for(live.server.stop(10.0), 5)


async def test_who_watches_an_unknown_service_is_told_so(live: Live) -> None:
    watch = health_pb2_grpc.HealthStub(live.channel).Watch(health_pb2.HealthCheckRequest(service="other"))

    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_garbage_is_refused(method: str, live: Live) -> None:
    make = live.channel.unary_unary if method == "Check" else live.channel.unary_stream

    error = await refusal(make(f"/grpc.health.v1.Health/{method}")(b"\xff"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
