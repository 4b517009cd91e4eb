from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from tests.grpc.conftest import METHODS, Live

SERVICES = {
    *("tei.v1.Info", "tei.v1.Embed", "tei.v1.Predict", "tei.v1.Rerank", "tei.v1.Tokenize"),
    *("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"),
}


async def asked(live: Live, version: str, **request: Any) -> Any:
    call = live.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )([reflection_pb2.ServerReflectionRequest(**request)])
    [answer] = [answer async for answer in call]
    return answer


@pytest.mark.parametrize("version", ["v1alpha", "v1"])
async def test_a_client_without_the_proto_finds_every_service_and_method(version: str, live: Live) -> None:
    listed = await asked(live, version, list_services="")
    names = {service.name for service in listed.list_services_response.service}
    assert names == SERVICES

    pool, known = DescriptorPool(), set()
    for name in sorted(names):
        found = await asked(live, version, file_containing_symbol=name)
        for serialized in found.file_descriptor_response.file_descriptor_proto:
            if FileDescriptorProto.FromString(serialized).name not in known:
                known.add(FileDescriptorProto.FromString(serialized).name)
                pool.AddSerializedFile(serialized)

    for name in names:
        assert pool.FindServiceByName(name).methods
    services = [pool.FindServiceByName(name) for name in names if name.startswith("tei.")]
    assert {f"{each.full_name}/{method.name}" for each in services for method in each.methods} == set(METHODS)


async def test_what_is_not_there_is_not_found(live: Live) -> None:
    answer = await asked(live, "v1", file_containing_symbol="tei.v2.Embed")

    assert answer.error_response.error_code == 5
