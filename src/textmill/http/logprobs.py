"""Log-probabilities of tokens, as chats of OpenAI and of Ollama tell them."""

from __future__ import annotations

from typing import Any

from textmill.contract import Alternative, TokenLogprob


def told(each: TokenLogprob) -> dict[str, Any]:
    """A token with its alternatives, as chats tell them."""
    return _alternative(each.token) | {"top_logprobs": [_alternative(other) for other in each.top]}


def _alternative(each: Alternative) -> dict[str, Any]:
    return {"token": each.text, "logprob": each.logprob, "bytes": list(each.data)}
