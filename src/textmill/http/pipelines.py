"""Hugging Face's pipeline paths: the routes of POST / below a model's name and the name of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from textmill.http import tei_root
from textmill.http.answer import Answer, Streamed
from textmill.http.failures import NoRoute
from textmill.http.framing import EVENTS
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.tei_dialect import FAILURES, TEXT_EMBEDDINGS_INFERENCE

_WAYS: Mapping[str, tei_root.Way] = {
    "feature-extraction": tei_root.EMBED,
    "sentence-similarity": tei_root.SIMILARITY,
    "text-classification": tei_root.CLASSIFICATION,
    "zero-shot-classification": tei_root.ZERO_SHOT,
    "text-ranking": tei_root.RERANK,
    "text-generation": tei_root.GENERATION,
}


async def pipeline(service: Service, body: Raw) -> Answer | Streamed:
    """POST /models/{model}/pipeline/{pipeline}."""
    name = service.in_path("pipeline")
    way = _WAYS.get(name)
    if way is None:
        msg = f"there is no pipeline {name!r} here; there are {', '.join(_WAYS)}"
        raise NoRoute(msg)
    return await way.answer(service, way.decoder.decode(bytes(body)))


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=(
            "/models/{repository:path}/pipeline/{pipeline}",
            "/hf-inference/models/{repository:path}/pipeline/{pipeline}",
            "/pipeline/{pipeline}/{repository:path}",
        ),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=pipeline,
        takes=Raw,
        documented=tei_root.AnyRequest,
        gives=Any,
        summary="Run a pipeline (Hugging Face)",
        description=f"The pipelines are {', '.join(_WAYS)}; bodies and answers are those of `POST /`. A model's name may have slashes.",
        example={"inputs": "The mill turns."},
        answers_with=[[0.020964134, -0.041305967, 0.07319605]],
        statuses=FAILURES | {404: "No model of that name is known, or there is no such pipeline."},
        form=tei_root.form_of_body,
        streams=EVENTS,
    ),
    Operation(
        method="POST",
        paths=("/models/{id:path}", "/hf-inference/models/{id:path}"),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=tei_root.any_route,
        takes=Raw,
        documented=tei_root.AnyRequest,
        gives=Any,
        summary="Do what the body and the model tell (Hugging Face)",
        description="As `POST /`, by the model that the path names.",
        example={"inputs": "The mill turns."},
        answers_with=[[0.020964134, -0.041305967, 0.07319605]],
        statuses=FAILURES,
        form=tei_root.form_of_body,
        streams=EVENTS,
    ),
)
