"""Ollama's dialect: all its operations, and what is done elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textmill.http import ollama_chat, ollama_embed, ollama_generate, ollama_models
from textmill.http.operation import Operation

OPERATIONS: tuple[Operation[Any], ...] = (
    *ollama_chat.OPERATIONS,
    *ollama_generate.OPERATIONS,
    *ollama_embed.OPERATIONS,
    *ollama_models.OPERATIONS,
)

ELSEWHERE: Mapping[str, str] = {
    "/api/pull": "install models with `textmill pull` or POST /models/apply",
    "/api/create": "put a model file and its weights into the models folder (docs/model-files.md)",
    "/api/copy": "put another model file, of the new name, into the models folder (docs/model-files.md)",
    "/api/push": "textmill uploads no models",
    "/api/delete": "delete models with `textmill models rm` or POST /models/delete/NAME",
}
"""Ollama's routes that textmill does not have, each with what to do instead."""
