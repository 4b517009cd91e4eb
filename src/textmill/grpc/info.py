"""The rpc of `tei.v1.Info`."""

from __future__ import annotations

from typing import Any

from textmill.contract import ModelInfo
from textmill.grpc.calls import answered
from textmill.grpc.messages import InfoRequest, InfoResponse, parsed
from textmill.grpc.served import Model
from textmill.grpc.service import Service


async def info(service: Service, rpc: str, data: bytes, context: Any) -> bytes:
    """Answer an Info."""

    async def work(model: Model) -> bytes:
        parsed(InfoRequest, data)
        about, settings = model.info, service.settings
        message: bytes = InfoResponse(
            version=settings.version,
            model_id=about.source,
            model_sha=about.revision,
            model_dtype=about.dtype,
            model_type=_model_type(about),
            max_concurrent_requests=settings.max_concurrent_requests or 0,
            max_input_length=about.max_tokens,
            max_batch_tokens=about.batch_tokens,
            max_client_batch_size=settings.max_inputs,
            tokenization_workers=about.threads,
        ).SerializeToString()
        return message

    return await answered(service, rpc, context, work)


def _model_type(about: ModelInfo) -> str:
    if {"embed", "embed_multi", "embed_sparse"}.intersection(about.tasks):
        return "MODEL_TYPE_EMBEDDING"
    return "MODEL_TYPE_RERANKER" if "rerank" in about.tasks else "MODEL_TYPE_CLASSIFIER"
