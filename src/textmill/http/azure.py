"""Azure's paths: OpenAI's routes below the name of a deployment, which here is that of a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textmill.http import chat, completions, openai
from textmill.http.operation import Operation

_DEPLOYMENT = "/openai/deployments/{deployment:path}"


def _moved(operation: Operation[Any], route: str) -> Operation[Any]:
    return replace(
        operation,
        paths=(f"{_DEPLOYMENT}{route}", f"/openai/v1{route}"),
        summary=f"{operation.summary.removesuffix(' (OpenAI)')} (Azure OpenAI)",
        description="Works with OpenAI's client for Azure. The path's deployment is the model, whatever the body says; any `api-version` "
        "is taken.",
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    *(_moved(operation, "/embeddings") for operation in openai.OPERATIONS),
    *(_moved(operation, "/chat/completions") for operation in chat.OPERATIONS),
    *(_moved(operation, "/completions") for operation in completions.OPERATIONS),
)
