"""Services of embeddings, for tests: each answers as its protocol has it, keeps its limits, and refuses what it does not know.

They are scripts of `textmill.testing.openai_server`. What they check was written from the services' documentation: none is a recording.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from textmill.testing.openai_server import Answer, Asked, Break, Script, Wait

WIDTH = 8
"""How many values the vectors of all services have where nothing is asked for."""


def vector_of(text: str, role: str = "", width: int = WIDTH) -> list[float]:
    """The vector of length one that a service gives for a text in a role."""
    drawn = np.frombuffer(hashlib.shake_256(f"{role}\n{text}".encode()).digest(WIDTH), np.uint8).astype(np.float64)
    values = (drawn - 127.5)[:width]
    return [float(each) for each in np.asarray(values / np.linalg.norm(values), np.float32)]


_BEARER = ("authorization", "Bearer ")
_KEYS = {
    "azure": ("api-key", ""),
    "elasticsearch": ("authorization", "ApiKey "),
    "gemini": ("x-goog-api-key", ""),
}
"""Where services that do not want it as a bearer token have their key, and what stands in front of it there."""


class _Refused(Exception):
    """The request is wrong; the message says how."""


def service(name: str, *, key: str = "") -> Script:
    """The service of that name, as `textmill.folder.remote_presets` has it; with a ``key`` it refuses requests that do not have it where it wants it."""
    answer = SERVICES[name]

    def script(asked: Asked) -> Answer:
        header, before = _KEYS.get(name, _BEARER)
        if key and asked.headers.get(header) != before + key:
            return Answer(status=401, body=_error(name, "no such key"))
        try:
            return Answer(body=answer(asked))
        except _Refused as refused:
            return Answer(status=400, body=_error(name, str(refused)))

    return script


def faulty(script: Script, faults: Iterable[Answer | None]) -> Script:
    """A script that has those answers first, one for each request as it comes; None is the script's own."""
    waiting, lock = list(faults), threading.Lock()

    def answer(asked: Asked) -> Answer:
        with lock:
            fault = waiting.pop(0) if waiting else None
        return script(asked) if fault is None else fault

    return answer


def limited(**headers: str) -> Answer:
    """Too many requests, with hints when to come back, whose names have _ for -."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=429, headers=told, body={"error": {"message": "slow down"}})


def failing(status: int = 500) -> Answer:
    """A page of HTML, as proxies have it."""
    return Answer(status=status, headers={"Content-Type": "text/html"}, body=b"<html><h1>Bad Gateway</h1></html>")


def cut_off(begun: bytes = b'{"data": [{"index": 0, "embedding": [0.1, 0.') -> Answer:
    """An answer that ends in its middle with its connection."""
    return Answer(headers={"Content-Type": "application/json"}, steps=[begun, Break()], done=False)


def slow(seconds: float, body: Any) -> Answer:
    """An answer that comes after a while."""
    return Answer(headers={"Content-Type": "application/json"}, steps=[Wait(seconds), orjson.dumps(body)], done=False)


def _openai(asked: Asked, known: Sequence[str] = (), most: int = 2048, width_field: str = "dimensions") -> Any:
    _expect(asked, "/v1/embeddings", ("model", "input", width_field, "encoding_format", *known))
    texts = _texts(asked.body["input"], most)
    width = asked.body.get(width_field, WIDTH)
    role = str(asked.body.get("input_type") or asked.body.get("task") or asked.body["model"])
    encoding = asked.body.get("encoding_format") or asked.body.get("embedding_type")
    data = [
        {"index": index, "embedding": _encoded(vector_of(text, role, width), encoding)}
        for index, text in enumerate(texts)
    ]
    return {"data": data[::-1], "usage": {"total_tokens": _tokens(texts)}}


def _ranked(asked: Asked, path: str, top: str, where: str, known: Sequence[str] = ()) -> Any:
    _expect(asked, path, ("model", "query", "documents", top, *known))
    texts = _texts(asked.body["documents"], 1000)
    results = [
        {"index": index, "relevance_score": score_of(asked.body["query"], text)} for index, text in enumerate(texts)
    ]
    results.sort(key=lambda each: -each["relevance_score"])
    return {where: results[: asked.body[top]], "usage": {"total_tokens": _tokens(texts)}}


def score_of(query: str, text: str) -> float:
    """How relevant a text is to a query, as all services have it."""
    return float(np.dot(vector_of(query), vector_of(text)))


def _plain(asked: Asked) -> Any:
    if asked.path.endswith("/rerank"):
        return _ranked(asked, "/v1/rerank", "top_n", "results", ("return_documents",))
    return _openai(asked)


def _jina(asked: Asked) -> Any:
    if asked.path.endswith("/rerank"):
        return _ranked(asked, "/v1/rerank", "top_n", "results", ("return_documents",))
    _one_of(
        asked.body, "task", ("retrieval.query", "retrieval.passage", "classification", "separation", "text-matching")
    )
    return _openai(asked, ("task", "embedding_type", "truncate"))


def _voyage(asked: Asked) -> Any:
    if asked.path.endswith("/rerank"):
        return _ranked(asked, "/v1/rerank", "top_k", "data", ("truncation",))
    _one_of(asked.body, "input_type", ("query", "document"))
    return _openai(asked, ("input_type", "truncation"), 1000, "output_dimension")


def _upstage(asked: Asked) -> Any:
    if not str(asked.body["model"]).endswith(("-query", "-passage")):
        msg = f"no model {asked.body['model']}"
        raise _Refused(msg)
    return _openai(asked, (), 100, "none")


def _tei(asked: Asked) -> Any:
    if asked.path == "/embed":
        _known(asked.body, ("model", "inputs", "truncate", "normalize", "dimensions"))
        role, width = asked.body["model"], asked.body.get("dimensions", WIDTH)
        return [vector_of(text, role, width) for text in _texts(asked.body["inputs"], 32)]
    if asked.path != "/rerank":
        return _openai(asked, (), 32)
    _expect(asked, "/rerank", ("model", "query", "texts", "truncate", "raw_scores"))
    texts = _texts(asked.body["texts"], 32)
    return [{"index": index, "score": score_of(asked.body["query"], text)} for index, text in enumerate(texts)][::-1]


def _azure(asked: Asked) -> Any:
    route, _, query = asked.path.partition("?")
    if not query.startswith("api-version=") or not route.startswith("/v1/openai/deployments/"):
        msg = f"no route {asked.path}"
        raise _Refused(msg)
    asked.path = "/v1/" + route.removeprefix("/v1/openai/deployments/").partition("/")[2]
    return _openai(asked)


def _cohere(asked: Asked) -> Any:
    if asked.path.endswith("/rerank"):
        return _ranked(asked, "/v1/v2/rerank", "top_n", "results")
    body = asked.body
    _expect(asked, "/v1/v2/embed", ("model", "texts", "input_type", "embedding_types", "truncate", "output_dimension"))
    if body.get("input_type") is None:
        msg = "input_type must be set"
        raise _Refused(msg)
    _one_of(body, "input_type", ("search_query", "search_document", "classification", "clustering"))
    texts = _texts(body["texts"], 96)
    made = [vector_of(text, body["input_type"], body.get("output_dimension", WIDTH)) for text in texts]
    return {"embeddings": {"float": made}, "meta": {"billed_units": {"input_tokens": _tokens(texts)}}}


def _gemini(asked: Asked) -> Any:
    _expect(asked, asked.path if asked.path.endswith(":batchEmbedContents") else "", ("requests",))
    made = []
    for each in asked.body["requests"]:
        _known(each, ("model", "content", "taskType", "outputDimensionality"))
        task = each.get("taskType", "")
        made.append(vector_of(each["content"]["parts"][0]["text"], task, each.get("outputDimensionality", WIDTH)))
    if len(made) > 100:  # noqa: PLR2004 - the service's own
        msg = "at most 100 requests can be in one batch"
        raise _Refused(msg)
    return {"embeddings": [{"values": values} for values in made], "usageMetadata": {"promptTokenCount": len(made)}}


def _nomic(asked: Asked) -> Any:
    body = asked.body
    _expect(asked, "/v1/embedding/text", ("model", "texts", "task_type", "dimensionality", "long_text_mode"))
    _one_of(body, "task_type", ("search_query", "search_document", "classification", "clustering"))
    texts = _texts(body["texts"], 50)
    role = body.get("task_type", "search_document")
    made = [vector_of(text, role, body.get("dimensionality", WIDTH)) for text in texts]
    return {"embeddings": made, "usage": {"prompt_tokens": _tokens(texts), "total_tokens": _tokens(texts)}}


def _elasticsearch(asked: Asked) -> Any:
    path = "/v1/_ml/trained_models/"
    _expect(asked, asked.path if asked.path.startswith(path) and asked.path.endswith("/_infer") else path, ("docs",))
    return {"inference_results": [{"predicted_value": vector_of(each["text_field"])} for each in asked.body["docs"]]}


def _huggingface(asked: Asked) -> Any:
    path = "/hf-inference/models/m/pipeline/feature-extraction"
    _expect(asked, path, ("inputs", "truncate"))
    return [vector_of(text) for text in _texts(asked.body["inputs"], 32)]


SERVICES: Mapping[str, Callable[[Asked], Any]] = {
    "azure": _azure,
    "cohere": _cohere,
    "dashscope": lambda asked: _openai(asked, (), 10),
    "elasticsearch": _elasticsearch,
    "fireworks": _plain,
    "gemini": _gemini,
    "huggingface-inference": _huggingface,
    "jina": _jina,
    "mistral": lambda asked: _openai(asked, (), 2048, "output_dimension"),
    "nomic": _nomic,
    "openai": _openai,
    "remote": _plain,
    "tei": _tei,
    "together": _plain,
    "upstage": _upstage,
    "voyage": _voyage,
}
"""What each answers, where its base URL ends in /v1."""


def _error(name: str, message: str) -> Any:
    """An error in the form that the service has for them."""
    if name in ("jina", "voyage"):
        return {"detail": message}
    if name in ("cohere", "nomic"):
        return {"message": message}
    if name in ("huggingface-inference", "tei"):
        return {"error": message}
    if name == "elasticsearch":
        return {"error": {"type": "illegal_argument_exception", "reason": message}, "status": 400}
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _expect(asked: Asked, path: str, known: Sequence[str]) -> None:
    if asked.path != path:
        msg = f"no route {asked.path}"
        raise _Refused(msg)
    _known(asked.body, known)


def _known(body: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = sorted(set(body) - set(known))
    if unknown:
        msg = f"unknown fields {', '.join(unknown)}"
        raise _Refused(msg)


def _one_of(body: Mapping[str, Any], name: str, values: Sequence[str]) -> None:
    if body.get(name) is not None and body[name] not in values:
        msg = f"{name} can be {', '.join(values)}"
        raise _Refused(msg)


def _texts(given: Any, most: int) -> list[str]:
    if not isinstance(given, list) or not given or len(given) > most:
        msg = f"there must be 1 to {most} texts"
        raise _Refused(msg)
    return [text if isinstance(text, str) else str(text) for text in given]


def _encoded(values: list[float], encoding: str | None) -> list[float] | str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode() if encoding == "base64" else values


def _tokens(texts: Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)
