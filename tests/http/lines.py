"""Answers as lines of JSON, as Ollama streams them."""

from __future__ import annotations

import json
from typing import Any

import httpx


def lines_of(answer: httpx.Response) -> list[Any]:
    """The objects of all lines, each of which has to end."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]
