"""What Hugging Face's clients ask of classifiers at POST /: pipelines with their parameters."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import ClassifyOptions, Scoring, ZeroShotOptions
from textmill.http.answer import Answer
from textmill.http.inputs import check_count, refuse_empty
from textmill.http.service import Service
from textmill.http.tei_dialect import ModelName, Truncate, cuts, require
from textmill.http.tei_rank import (
    Examples,
    best_first,
    examples,
    label_arrays,
    refuse_empty_examples,
)
from textmill.http.timing import timing_headers
from textmill.tasks.best import refuse_no_numbers

_SCORINGS: dict[str, Scoring] = {"softmax": "softmax", "sigmoid": "sigmoid", "none": "raw"}


class ClassificationParameters(Struct, frozen=True):
    """How many labels, and how their scores are made."""

    top_k: Annotated[int, Meta(ge=1)] | None = None
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    truncate: Truncate = None


class ClassificationRequest(Struct, frozen=True):
    """Texts to classify."""

    inputs: Examples
    parameters: ClassificationParameters | None = None
    model: ModelName = None


class ZeroShotParameters(Struct, frozen=True):
    """The labels to choose from."""

    candidate_labels: list[str]
    multi_label: bool | None = None
    hypothesis_template: str | None = None


class ZeroShotRequest(Struct, frozen=True):
    """A text to classify by labels of the caller's."""

    inputs: str
    parameters: ZeroShotParameters
    model: ModelName = None


async def classification(service: Service, request: ClassificationRequest) -> Answer:
    """As /predict, with an array of labels for each text, also for a single one."""
    started = time.perf_counter()
    model = await service.model(request.model, "classify")
    how = request.parameters or ClassificationParameters()
    inputs, _ = examples(service, request.inputs)
    require(model, "classify")
    refuse_empty_examples(inputs)
    scoring = None if how.function_to_apply is None else _SCORINGS[how.function_to_apply]
    options = ClassifyOptions(truncate=cuts(service, how.truncate), scoring=scoring)
    made = await service.compute(model, model.classify_inputs, inputs, options)
    refuse_no_numbers(made.scores)
    body = await label_arrays(made, how.top_k)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def zero_shot_classification(service: Service, request: ZeroShotRequest) -> Answer:
    """The labels with their scores, the best first."""
    started = time.perf_counter()
    model, how = await service.model(request.model, "classify_zero_shot"), request.parameters
    check_count("candidate_labels", len(how.candidate_labels), service.settings.max_inputs)
    require(model, "classify_zero_shot")
    refuse_empty([request.inputs], "inputs")
    options = ZeroShotOptions(
        hypothesis=how.hypothesis_template or ZeroShotOptions().hypothesis,
        multi_label=how.multi_label is True,
        truncate=cuts(service, None),
    )
    made = await service.compute(
        model, model.classify_zero_shot_inputs, [request.inputs], how.candidate_labels, options
    )
    refuse_no_numbers(made.scores)
    body = orjson.dumps(best_first(made.scores[0], made.labels), option=orjson.OPT_SERIALIZE_NUMPY)
    return Answer(body, headers=timing_headers(model.info, [request.inputs], made, started), model=model.info.name)
