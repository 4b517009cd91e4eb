"""A backend that speaks LocalAI's gRPC, for tests: run as a program with ``--addr``, as LocalAI starts its own.

Vectors say what was asked: eight numbers made of a text's bytes, or of the ids. Texts such as ``!die`` have it do what backends
do on bad days: ``!die`` ends it, ``!raise`` fails, ``!short`` gives a vector of another length, ``!nan`` none that is one, ``!slow``
takes a minute or until its caller leaves, and ``!tokens`` a vector for each of two tokens.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import grpc

from textmill.providers import messages

WIDTH = 8
LEFT = threading.Event()
"""Set once a caller of ``!slow`` has left."""


def vector_of(asked: bytes) -> list[float]:
    """The vector of a text's bytes."""
    return [byte / 255 + 0.01 for byte in sha256(asked).digest()[:WIDTH]]


def _health(_: Any, __: Any) -> Any:
    return messages.Reply(message=b"OK")


def _load(options: Any, _: Any) -> Any:
    print(f"loading {options.Model}", file=sys.stderr)  # noqa: T201 - its log
    ok = options.Model != "broken"
    return messages.Result(success=ok, message="" if ok else "no such weights")


def _embed(request: Any, context: Any) -> Any:
    text = request.Embeddings
    if text == "!die":
        print("out of memory, says the backend", file=sys.stderr, flush=True)  # noqa: T201 - its log
        os._exit(3)
    if text == "!raise":
        context.abort(grpc.StatusCode.INTERNAL, "this text is not liked")
    if text == "!slow":
        context.add_callback(LEFT.set)
        LEFT.wait(60)
    values = vector_of(text.encode() if text else bytes(each % 256 for each in request.EmbeddingTokens))
    if text == "!short":
        values = values[:3]
    if text == "!nan":
        values[0] = float("nan")
    if text == "!tokens":
        return messages.EmbeddingResult(embeddings=[*values, *values], tokens=2, dim=WIDTH, layout=2)
    return messages.EmbeddingResult(embeddings=values, prompt_tokens=len(text.split()) + 2)


def _rerank(request: Any, _: Any) -> Any:
    results = [
        {"index": index, "text": text, "relevance_score": float(text.count(request.query))}
        for index, text in enumerate(request.documents)
    ]
    return messages.RerankResult(results=results, usage={"total_tokens": 9, "prompt_tokens": 9})


def _tokenize(request: Any, _: Any) -> Any:
    ids = list(request.Prompt.encode())
    return messages.TokenizationResponse(length=len(ids), tokens=ids)


def _detokenize(request: Any, _: Any) -> Any:
    return messages.DetokenizeResponse(content=bytes(request.tokens).decode())


def _free(_: Any, __: Any) -> Any:
    return messages.Result(success=True)


_ANSWERS: dict[str, Callable[[Any, Any], Any]] = {
    "Health": _health,
    "LoadModel": _load,
    "Embedding": _embed,
    "Rerank": _rerank,
    "TokenizeString": _tokenize,
    "Detokenize": _detokenize,
    "Free": _free,
}


def serve(address: str) -> Any:
    """A server at an address, that runs; stop it by its `stop`."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=messages.METHODS[name][0].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, answer in _ANSWERS.items()
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handlers),))
    server.add_insecure_port(address)
    server.start()
    return server


if __name__ == "__main__":
    serve(sys.argv[sys.argv.index("--addr") + 1]).wait_for_termination()
