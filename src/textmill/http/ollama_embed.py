"""/api/embed and /api/embeddings: texts become vectors, as Ollama has it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import orjson
from msgspec import Meta, Struct

from textmill.contract import EmbedOptions
from textmill.http.answer import Answer
from textmill.http.inputs import check_count
from textmill.http.ollama_dialect import FAILURES, OLLAMA, KeepAlive, ModelName, leaves, model_of, nanoseconds
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.timing import timing_headers
from textmill.http.vectors import float_rows, json_array

_Ignored = Annotated[dict[str, Any] | None, Meta(description="Accepted and ignored.")]


class OllamaEmbedRequest(Struct, frozen=True, kw_only=True):
    """Texts to embed; without any the model is loaded. Null is the same as absent in every field; unknown fields are ignored."""

    model: ModelName = None
    input: Annotated[str | list[str] | None, Meta(description="A text, or a list of texts.")] = None
    truncate: Annotated[
        bool | None,
        Meta(description="Cut texts that are too long, which is so by default, or refuse them with `false`."),
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka); 0 is all."),
    ] = None
    keep_alive: KeepAlive = None
    options: _Ignored = None


class OllamaEmbedAnswer(Struct, frozen=True, omit_defaults=True):
    """The vectors, in the order of the texts, each of length one; durations in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: Annotated[int, Meta(description="Tokens computed, special tokens and prompts included.")] = 0


class OllamaEmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """A text to embed; without one the model is loaded. Null is the same as absent in every field; unknown fields are ignored."""

    model: ModelName = None
    prompt: Annotated[str | None, Meta(description="The text. It is cut where it is too long.")] = None
    keep_alive: KeepAlive = None
    options: _Ignored = None


class OllamaEmbeddingsAnswer(Struct, frozen=True):
    """The vector, of length one; empty where there was no text."""

    embedding: list[float]


async def ollama_embed(service: Service, request: OllamaEmbedRequest) -> Answer:
    """POST /api/embed."""
    started = time.perf_counter()
    leaves(request.keep_alive)
    given = [request.input] if isinstance(request.input, str) and request.input else request.input or []
    texts = list(given)
    check_count("input", len(texts), service.settings.max_inputs)
    model = await model_of(service, request.model, "embed")
    loaded = time.perf_counter()
    name = request.model or model.info.name
    if not texts:
        return Answer(orjson.dumps({"model": name, "embeddings": []}), model=model.info.name)
    truncate = service.settings.auto_truncate if request.truncate is None else request.truncate
    options = EmbedOptions(dimensions=request.dimensions or None, normalize=True, truncate=truncate)
    made = await service.compute(model, model.embed_inputs, texts, options)
    rows = await json_array(made.vectors, float_rows)
    tail = {
        "model": name,
        "total_duration": nanoseconds(time.perf_counter() - started),
        "load_duration": nanoseconds(loaded - started),
        "prompt_eval_count": sum(made.tokens),
    }
    body = b"".join((b'{"embeddings":', rows, b",", orjson.dumps(tail)[1:]))
    return Answer(body, headers=timing_headers(model.info, texts, made, started), model=model.info.name)


async def ollama_embeddings(service: Service, request: OllamaEmbeddingsRequest) -> Answer:
    """POST /api/embeddings."""
    started = time.perf_counter()
    leaves(request.keep_alive)
    model = await model_of(service, request.model, "embed")
    if not request.prompt:
        return Answer(orjson.dumps({"embedding": []}), model=model.info.name)
    options = EmbedOptions(normalize=True, truncate=service.settings.auto_truncate)
    made = await service.compute(model, model.embed_inputs, [request.prompt], options)
    rows = await json_array(made.vectors, float_rows)
    headers = timing_headers(model.info, [request.prompt], made, started)
    return Answer(b'{"embedding":' + rows[1:-1] + b"}", headers=headers, model=model.info.name)


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/api/embed",),
        dialect=OLLAMA,
        handle=ollama_embed,
        takes=OllamaEmbedRequest,
        gives=OllamaEmbedAnswer,
        summary="Embed texts (Ollama)",
        example={"input": ["The mill turns.", "Water drives the wheel."]},
        answers_with={
            "model": "all-MiniLM-L6-v2",
            "embeddings": [[0.020964134, -0.041305967, 0.07319605], [-0.011502886, 0.05937732, 0.0019301853]],
            "total_duration": 8_200_000,
            "load_duration": 21_000,
            "prompt_eval_count": 13,
        },
        statuses=FAILURES,
        form=lambda request: "batch" if isinstance(request.input, list) else "single",
    ),
    Operation(
        method="POST",
        paths=("/api/embeddings",),
        dialect=OLLAMA,
        handle=ollama_embeddings,
        takes=OllamaEmbeddingsRequest,
        gives=OllamaEmbeddingsAnswer,
        summary="Embed a text (Ollama, its older route)",
        example={"prompt": "The mill turns."},
        answers_with={"embedding": [0.020964134, -0.041305967, 0.07319605]},
        statuses=FAILURES,
        form=lambda _: "single",
    ),
)
