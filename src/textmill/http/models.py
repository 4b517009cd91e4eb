"""OpenAI's and LocalAI's routes that say which models there are: all, one, and what they can do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import regex
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import Known, ModelInfo
from textmill.errors import InvalidInput
from textmill.http.answer import Answer
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Model, Service

_PATIENCE_S = 0.2
_LONGEST = 500
_CAPABILITIES: Mapping[str, str] = {"embed": "embeddings"}
"""LocalAI's words where they are not ours."""

_Row = tuple[Known, ModelInfo | None, Model | None]


class ModelsQuery(Struct, frozen=True, rename={"exclude_configured": "excludeConfigured"}):
    """Which models are meant."""

    filter: Annotated[
        str, Meta(description="A regular expression that is found in the model's id; without `(` and `{`.")
    ] = ""
    exclude_configured: Annotated[
        str, Meta(description="Anything but `true` lists weights that a model file is about besides.")
    ] = "true"


class ModelsPath(Struct, frozen=True):
    """Which model is meant."""

    id: Annotated[str, Meta(description="A name of `/v1/models`, with its slashes as they are.")]


class ModelCard(Struct, frozen=True, omit_defaults=True):
    """A model that is served. All but the first four fields are textmill's own; most are there once it has been loaded."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    source: str
    tasks: Annotated[list[str], Meta(description="What it can do; before it is loaded, what it is expected to.")]
    loaded: bool
    ready: Annotated[bool, Meta(description="Whether it can answer; one that is not loaded will be for a request.")]
    refusal: Annotated[str | UnsetType, Meta(description="Why it cannot be served.")] = UNSET
    revision: str | UnsetType | None = UNSET
    architecture: str | UnsetType = UNSET
    labels: list[str] | UnsetType = UNSET
    pooling: str | UnsetType = UNSET
    dimensions: int | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    prompts: list[str] | UnsetType = UNSET
    default_prompt: str | UnsetType | None = UNSET
    runtime: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    dtype: str | UnsetType = UNSET
    fingerprint: Annotated[
        str | UnsetType,
        Meta(description="Vectors may share an index only where this is equal."),
    ] = UNSET


class ModelList(Struct, frozen=True):
    """All models, the default first."""

    object: Literal["list"]
    data: list[ModelCard]


class CapabilityCard(Struct, frozen=True):
    """What a model can do."""

    id: str
    object: Literal["model"]
    capabilities: Annotated[list[str], Meta(description="Such as `embeddings` and `rerank`.")]
    input_modalities: list[str]
    output_modalities: Annotated[list[str], Meta(description="`embeddings` where it embeds.")]


class CapabilityList(Struct, frozen=True):
    """All models, the default first."""

    object: Literal["list"]
    data: list[CapabilityCard]


async def models(service: Service, query: ModelsQuery) -> Answer:
    """GET /v1/models."""
    found = await _matching(service, query)
    return Answer(msgspec.json.encode(ModelList("list", [card_of(*each) for each in found])))


async def one_model(service: Service, path: ModelsPath) -> Answer:
    """GET /v1/models/{id}."""
    return Answer(msgspec.json.encode(card_of(*service.find(path.id))))


async def capabilities(service: Service, query: ModelsQuery) -> Answer:
    """GET /v1/models/capabilities."""
    found = await _matching(service, query)
    return Answer(msgspec.json.encode(CapabilityList("list", [_capable(*each) for each in found])))


async def _matching(service: Service, query: ModelsQuery) -> Sequence[_Row]:
    found = service.known(everything=query.exclude_configured not in ("", "true"))
    if not query.filter:
        return found
    wanted = await asyncio.to_thread(_search, query.filter, [known.name for known, _, _ in found])
    return [each for each in found if each[0].name in wanted]


def _search(pattern: str, names: Sequence[str]) -> set[str]:
    """The names in which the pattern is found. Raises InvalidInput for one that is none, or takes too long."""
    if len(pattern) > _LONGEST:
        msg = f"filter has {len(pattern)} characters; it may have {_LONGEST}"
        raise InvalidInput(msg, param="filter")
    if "(" in pattern or "{" in pattern:
        # Counts, and repetitions within repetitions, are unrolled when compiled: a few characters take gigabytes, and nothing else runs
        # meanwhile. Also where they are escaped, so that nothing depends on reading escapes and sets as the compiler does.
        msg = "filter may have no ( and no {, not even escaped: write what is repeated, alternatives as ^one$|^two$, and . for the character itself"
        raise InvalidInput(msg, param="filter")
    try:
        compiled = regex.compile(pattern)
        return {name for name in names if compiled.search(name, timeout=_PATIENCE_S / len(names), concurrent=True)}
    except (regex.error, RecursionError, ValueError, OverflowError, MemoryError) as error:
        msg = f"filter is no regular expression: {error}"
        raise InvalidInput(msg, param="filter") from None
    except TimeoutError:
        msg = "filter takes too long; write it with fewer repetitions"
        raise InvalidInput(msg, param="filter") from None


def card_of(known: Known, info: ModelInfo | None, model: Model | None) -> ModelCard:
    """What is said of a model."""
    card = ModelCard(
        id=known.name,
        object="model",
        created=known.created if info is None else info.created,
        owned_by="textmill",
        source=known.source,
        tasks=list(known.tasks if info is None else info.tasks),
        loaded=model is not None,
        ready=known.refusal is None and (model is None or model.ready),
        refusal=known.refusal or UNSET,
    )
    if info is None:
        return card
    return msgspec.structs.replace(
        card,
        revision=info.revision,
        architecture=info.architecture,
        labels=list(info.labels),
        pooling=info.pooling,
        dimensions=info.dimensions,
        max_tokens=info.max_tokens,
        prompts=list(info.prompts),
        default_prompt=info.default_prompt,
        runtime=info.runtime,
        device=info.device,
        dtype=info.dtype,
        fingerprint=info.fingerprint,
    )


def _capable(known: Known, info: ModelInfo | None, model: Model | None) -> CapabilityCard:
    del model
    tasks = known.tasks if info is None else info.tasks
    return CapabilityCard(
        id=known.name,
        object="model",
        capabilities=[_CAPABILITIES.get(task, task) for task in tasks],
        input_modalities=["text"],
        output_modalities=["embeddings"] if any(task.startswith("embed") for task in tasks) else [],
    )


_FAILURES = {
    400: "The filter is no regular expression.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    500: "A bug; the server's log explains it.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="GET",
        paths=("/v1/models", "/models", "/openai/v1/models", "/openai/models"),
        dialect=OPENAI,
        handle=models,
        takes=ModelsQuery,
        gives=ModelList,
        summary="List the models",
        statuses=_FAILURES,
    ),
    Operation(
        method="GET",
        paths=("/v1/models/capabilities", "/models/capabilities"),
        dialect=OPENAI,
        handle=capabilities,
        takes=ModelsQuery,
        gives=CapabilityList,
        summary="Say what the models can do (LocalAI)",
        statuses=_FAILURES,
    ),
    Operation(
        method="GET",
        paths=("/v1/models/{id:path}", "/models/{id:path}", "/openai/v1/models/{id:path}", "/openai/models/{id:path}"),
        dialect=OPENAI,
        handle=one_model,
        takes=ModelsPath,
        gives=ModelCard,
        summary="Describe a model",
        description="By any of its names. Routes of LocalAI's below `/models/` come first; `/v1/models/` has only `capabilities`.",
        statuses={status: _FAILURES[status] for status in (401, 404, 500)},
    ),
)
