"""Ollama's routes that say which models there are: /api/tags, /api/show, /api/ps and /api/version."""

from __future__ import annotations

import hashlib
import time
from types import NoneType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from textmill.contract import Known, ModelInfo, Task
from textmill.http.answer import Answer
from textmill.http.ollama_dialect import FAILURES, OLLAMA, named, stamp
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.providers.speech import REASONING

SPOKEN = "0.13.0"
"""The version of Ollama whose requests are understood: clients ask for one that is new enough."""

_FOREVER_S = 292 * 365.25 * 24 * 3600.0
"""How long Ollama keeps a model that it is told to keep: the longest duration that Go has."""
_GGUF = "llama.cpp"
_THINKING = (*REASONING, "enable_thinking", "reasoning_effort")
"""What templates have of models that reason: the marks around it, or the variables that switch it."""


class OllamaDetails(Struct, frozen=True):
    """What a model is; empty as long as it has not been loaded."""

    parent_model: str
    format: Annotated[str, Meta(description="`gguf` where llama.cpp runs it, else `safetensors`.")]
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(Struct, frozen=True):
    """A model that can answer."""

    name: str
    model: str
    modified_at: str
    size: Annotated[int, Meta(description="Bytes that it takes while it is loaded, as far as is known; else 0.")]
    digest: Annotated[
        str, Meta(description="64 hex digits over its fingerprint, or of its name until it has been loaded.")
    ]
    details: OllamaDetails
    capabilities: list[str]


class OllamaTags(Struct, frozen=True):
    """All models, the default first."""

    models: list[OllamaModel]


class OllamaRunning(Struct, frozen=True):
    """A model that is loaded."""

    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: Annotated[
        str, Meta(description="When it leaves unless it is asked before; in 292 years where it stays.")
    ]
    size_vram: Annotated[int, Meta(description="The same as `size` on a GPU, else 0.")]
    context_length: int


class OllamaPs(Struct, frozen=True):
    """The models that are loaded, the default first."""

    models: list[OllamaRunning]


class OllamaShowRequest(Struct, frozen=True, kw_only=True):
    """Which model is meant."""

    model: Annotated[str | None, Meta(description="A name of `/api/tags`.")] = None
    name: Annotated[str | None, Meta(description="The older spelling of `model`.")] = None


class OllamaShown(Struct, frozen=True):
    """What a model is."""

    license: str
    modelfile: Annotated[str, Meta(description="Where the model came from; textmill has model files of another kind.")]
    parameters: str
    template: Annotated[
        str, Meta(description="The model's own chat template, in Jinja; empty until it has been loaded.")
    ]
    details: OllamaDetails
    model_info: Annotated[
        dict[str, Any],
        Meta(
            description="`general.architecture`, and with it in front `context_length` and `embedding_length`; once it has been loaded."
        ),
    ]
    capabilities: Annotated[list[str], Meta(description="Of `completion`, `tools`, `thinking` and `embedding`.")]
    modified_at: str


class OllamaVersion(Struct, frozen=True):
    """The version of Ollama whose requests are understood, and textmill's own."""

    version: str
    textmill: str


async def ollama_tags(service: Service, _: None) -> Answer:
    """GET /api/tags."""
    rows = [(known, info, model is not None) for known, info, model in service.known() if known.refusal is None]
    models = [
        OllamaModel(
            name=known.name,
            model=known.name,
            modified_at=_modified(known, info),
            size=service.store.memory(known.name) if loaded else 0,
            digest=_digest(known, info),
            details=_details(info),
            capabilities=_capabilities(known, info),
        )
        for known, info, loaded in rows
    ]
    return Answer(msgspec.json.encode(OllamaTags(models)))


async def ollama_ps(service: Service, _: None) -> Answer:
    """GET /api/ps."""
    now = time.time()
    running = [
        OllamaRunning(
            name=known.name,
            model=known.name,
            size=(size := service.store.memory(known.name)),
            digest=_digest(known, model.info),
            details=_details(model.info),
            expires_at=stamp(now + (_FOREVER_S if (left := service.store.leaves_in(known.name)) is None else left)),
            size_vram=0 if model.info.device.lower() in ("", "cpu") else size,
            context_length=model.info.max_tokens,
        )
        for known, _, model in service.known()
        if model is not None
    ]
    return Answer(msgspec.json.encode(OllamaPs(running)))


async def ollama_show(service: Service, request: OllamaShowRequest) -> Answer:
    """POST /api/show."""
    known, info, _ = service.find_named(named(service, request.model or request.name))
    shown = OllamaShown(
        license="",
        modelfile=f"FROM {known.source}\n",
        parameters="",
        template="" if info is None else info.template,
        details=_details(info),
        model_info=_facts(info),
        capabilities=_capabilities(known, info),
        modified_at=_modified(known, info),
    )
    return Answer(msgspec.json.encode(shown), model=known.name)


async def ollama_version(service: Service, _: None) -> Answer:
    """GET /api/version."""
    return Answer(msgspec.json.encode(OllamaVersion(SPOKEN, service.settings.version)))


def _modified(known: Known, info: ModelInfo | None) -> str:
    return stamp(known.created or (0 if info is None else info.created))


def _digest(known: Known, info: ModelInfo | None) -> str:
    facts = f"{known.name} {known.source} {known.created}" if info is None else info.fingerprint
    return hashlib.sha256(facts.encode()).hexdigest()


def _details(info: ModelInfo | None) -> OllamaDetails:
    if info is None:
        return OllamaDetails("", "", "", [], "", "")
    family = _family(info)
    return OllamaDetails("", "gguf" if info.runtime == _GGUF else "safetensors", family, [family], "", info.dtype)


def _family(info: ModelInfo) -> str:
    return info.architecture or info.runtime


def _facts(info: ModelInfo | None) -> dict[str, Any]:
    if info is None:
        return {}
    family = _family(info)
    facts: dict[str, Any] = {"general.architecture": family, f"{family}.context_length": info.max_tokens}
    if info.vocabulary:
        facts[f"{family}.vocab_size"] = info.vocabulary
    if info.dimensions:
        facts[f"{family}.embedding_length"] = info.dimensions
    return {name: value for name, value in facts.items() if value}


def _capabilities(known: Known, info: ModelInfo | None) -> list[str]:
    """Ollama's words for what a model does; tools are told to any that chats, and one thinks whose template has marks for it."""
    tasks: tuple[Task, ...] = known.tasks if info is None else info.tasks
    words: tuple[tuple[str, bool], ...] = (
        ("completion", "chat" in tasks or "complete" in tasks),
        ("tools", "chat" in tasks),
        ("thinking", info is not None and any(mark in info.template for mark in _THINKING)),
        ("embedding", "embed" in tasks),
    )
    return [word for word, holds in words if holds]


_LOOKING = {status: FAILURES[status] for status in (401, 404, 500)}
_DETAILS = {
    "parent_model": "",
    "format": "safetensors",
    "family": "bert",
    "families": ["bert"],
    "parameter_size": "",
    "quantization_level": "bfloat16",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="GET",
        paths=("/api/tags",),
        dialect=OLLAMA,
        handle=ollama_tags,
        takes=NoneType,
        gives=OllamaTags,
        summary="List the models (Ollama)",
        statuses=_LOOKING,
    ),
    Operation(
        method="GET",
        paths=("/api/ps",),
        dialect=OLLAMA,
        handle=ollama_ps,
        takes=NoneType,
        gives=OllamaPs,
        summary="List the models that are loaded (Ollama)",
        statuses=_LOOKING,
    ),
    Operation(
        method="POST",
        paths=("/api/show",),
        dialect=OLLAMA,
        handle=ollama_show,
        takes=OllamaShowRequest,
        gives=OllamaShown,
        summary="Describe a model (Ollama)",
        description="It is not loaded for this: most is known once it has been.",
        example={"model": "all-MiniLM-L6-v2"},
        answers_with={
            "license": "",
            "modelfile": "FROM all-MiniLM-L6-v2\n",
            "parameters": "",
            "template": "",
            "details": _DETAILS,
            "model_info": {"general.architecture": "bert", "bert.context_length": 256, "bert.embedding_length": 384},
            "capabilities": ["embedding"],
            "modified_at": "2026-11-27T06:00:00Z",
        },
        statuses=FAILURES,
    ),
    Operation(
        method="GET",
        paths=("/api/version",),
        dialect=OLLAMA,
        handle=ollama_version,
        takes=NoneType,
        gives=OllamaVersion,
        summary="Say which version of Ollama's API this is (Ollama)",
        statuses=_LOOKING,
    ),
)
