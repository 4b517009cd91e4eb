"""The messages of `backend.Backend`: classes made of the compiled `backend.proto`, and answers as plain values.

The descriptors are in a pool of their own, as a program may have LocalAI's own copy of the same messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SERVICE = "backend.Backend"
FINAL, PER_TOKEN = 1, 2
"""Layouts of vectors; 0 says nothing."""
UNINITIALIZED, BUSY, READY = 0, 1, 2
"""States of a backend's model."""


def _loaded() -> Any:
    pool = DescriptorPool()
    compiled = FileDescriptorSet.FromString(files(__package__).joinpath("backend.binpb").read_bytes())
    for file in compiled.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName("backend.proto")


_BACKEND = _loaded()


def _message(name: str) -> Any:
    return GetMessageClass(_BACKEND.message_types_by_name[name])


HealthMessage = _message("HealthMessage")
Reply = _message("Reply")
Result = _message("Result")
ModelOptions = _message("ModelOptions")
PredictOptions = _message("PredictOptions")
EmbeddingResult = _message("EmbeddingResult")
RerankRequest = _message("RerankRequest")
RerankResult = _message("RerankResult")
Usage = _message("Usage")
DocumentResult = _message("DocumentResult")
TokenizationResponse = _message("TokenizationResponse")
DetokenizeRequest = _message("DetokenizeRequest")
DetokenizeResponse = _message("DetokenizeResponse")
StatusResponse = _message("StatusResponse")

METHODS: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        method.name: (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
        for method in _BACKEND.services_by_name["Backend"].methods
    }
)
"""What each rpc takes and gives."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What Embedding gave: ``values`` float32 one behind the other; of the rest 0 is what the backend did not say."""

    values: npt.NDArray[np.float32]
    tokens: int
    dim: int
    prompt_tokens: int
    layout: int


def _vectors(data: bytes) -> Vectors:
    made = EmbeddingResult.FromString(data)
    values = np.fromiter(made.embeddings, np.float32, len(made.embeddings))
    return Vectors(values, made.tokens, made.dim, made.prompt_tokens, made.layout)


def reader_of(method: str) -> Callable[[bytes], Any]:
    """What makes an answer of its bytes: the message, or `Vectors`."""
    read: Callable[[bytes], Any] = _vectors if method == "Embedding" else METHODS[method][1].FromString
    return read
