"""The few options of the gRPC room."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcSettings:
    """How the gRPC server answers.

    A message has at most ``message_limit`` bytes and a unary Rerank ``max_inputs`` texts; at most ``ahead`` messages of a
    stream are taken in before their answers are out. ``max_concurrent_requests`` is only shown; the permits keep it.
    """

    version: str
    message_limit: int
    max_inputs: int
    ahead: int = 1024
    max_concurrent_requests: int | None = None
