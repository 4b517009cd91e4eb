"""Server reflection, v1alpha and v1: clients without the .proto ask what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from textmill.grpc.messages import POOL

_ALPHA = "grpc.reflection.v1alpha.ServerReflection"
_V1 = "grpc.reflection.v1.ServerReflection"


def reflection(services: Sequence[str], files: Sequence[Any]) -> Mapping[str, Mapping[str, Any]]:
    """The handlers of both versions by service and method, over these services of `POOL`; ``files`` are added to it.

    The versions differ in the names of their messages, not in their bytes: one handler serves both.
    """
    for serialized in (*(file.serialized_pb for file in files), reflection_pb2.DESCRIPTOR.serialized_pb, _v1()):
        POOL.AddSerializedFile(serialized)
    servicer = aio.ReflectionServicer((*services, _ALPHA, _V1), POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {name: {"ServerReflectionInfo": handler} for name in (_ALPHA, _V1)}


def _v1() -> bytes:
    """The file of v1, from that of v1alpha."""
    file = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    renamed = text_format.MessageToString(file).replace("v1alpha", "v1")
    serialized: bytes = text_format.Parse(renamed, FileDescriptorProto()).SerializeToString()
    return serialized
