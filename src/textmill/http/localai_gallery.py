"""LocalAI's routes that install and delete models: jobs, and what the galleries have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from textmill.errors import InvalidInput
from textmill.gallery.entry import Entry, File, Source
from textmill.gallery.record import Record
from textmill.gallery.wish import Wish
from textmill.http.answer import Answer
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Installer, Service


class ApplyRequest(Struct, frozen=True):
    """What to install: one of ``id``, ``url`` and ``uri``. Null is the same as absent; unknown fields are ignored."""

    id: Annotated[str | None, Meta(description="A model of a gallery: `gallery@name` or `name`.")] = None
    url: Annotated[str | None, Meta(description="The address of a document that describes a model.")] = None
    uri: Annotated[str | None, Meta(description="The address of a model itself, such as `owner/repo` of the hub.")] = (
        None
    )
    name: Annotated[str | None, Meta(description="What the model is to be called.")] = None
    overrides: Annotated[dict[str, Any] | None, Meta(description="Fields of its model file that are to be so.")] = None
    files: Annotated[list[File] | None, Meta(description="Files to be fetched too.")] = None
    variant: Annotated[str | None, Meta(description="One of the entry's variants, or a part of a file's name.")] = None


class Preferences(Struct, frozen=True):
    """How a model is to be installed."""

    name: Annotated[str | None, Meta(description="What the model is to be called.")] = None
    description: Annotated[str | None, Meta(description="Goes into its model file.")] = None
    backend: Annotated[str | None, Meta(description="The backend of its model file.")] = None
    quantizations: Annotated[
        str | None, Meta(description="A part of the wanted file's name, such as `q4_k_m`; of several, the first.")
    ] = None
    embeddings: Annotated[bool | str | None, Meta(description="Whether it is for embeddings.")] = None


class ImportRequest(Struct, frozen=True):
    """What to install."""

    uri: Annotated[
        str, Meta(description="The address of a model, or of a document (`.yaml`) that describes one.", min_length=1)
    ]
    preferences: Annotated[Preferences | None, Meta(description="How.")] = None


class DeletePath(Struct, frozen=True):
    """Which model to delete."""

    name: Annotated[str, Meta(description="Its name, with its slashes as they are.")]


class JobPath(Struct, frozen=True):
    """Which job is meant."""

    uuid: Annotated[str, Meta(description="What the request that began it was answered.")]


class JobStarted(Struct, frozen=True):
    """A job that has begun."""

    uuid: str
    status: Annotated[str, Meta(description="The URL to ask how it is.")]


class AvailableModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model of a gallery."""

    name: str
    installed: bool
    backend: str = ""
    url: str = ""
    description: str = ""
    license: str = ""
    icon: str = ""
    size: str = ""
    last_checked: str = ""
    urls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    variants: tuple[str, ...] = ()
    overrides: dict[str, Any] = {}
    gallery: Source | None = None


async def apply(service: Service, request: ApplyRequest) -> Answer:
    """POST /models/apply."""
    return await _begin(
        service,
        Wish(
            id=request.id or "",
            url=request.url or "",
            uri=request.uri or "",
            name=request.name or "",
            overrides=request.overrides or {},
            files=tuple(request.files or ()),
            variant=request.variant or "",
        ),
    )


async def import_uri(service: Service, request: ImportRequest) -> Answer:
    """POST /models/import-uri."""
    wanted = request.preferences or Preferences()
    overrides: dict[str, Any] = {"backend": wanted.backend, "description": wanted.description}
    if wanted.embeddings is not None:
        overrides["embeddings"] = _truth(wanted.embeddings)
    wish = Wish(
        uri=request.uri,
        name=wanted.name or "",
        overrides={key: value for key, value in overrides.items() if value not in (None, "")},
        variant=(wanted.quantizations or "").partition(",")[0].strip(),
    )
    return await _begin(service, wish)


async def delete(service: Service, path: DeletePath) -> Answer:
    """POST /models/delete/{name}."""
    return await _begin(service, Wish(delete=path.name))


async def jobs(service: Service, _: None) -> Answer:
    """GET /models/jobs."""
    return Answer(msgspec.json.encode(_installer(service).records()))


async def job(service: Service, path: JobPath) -> Answer:
    """GET /models/jobs/{uuid}."""
    return Answer(msgspec.json.encode(_installer(service).record(path.uuid)))


async def cancel(service: Service, path: JobPath) -> Answer:
    """DELETE /models/jobs/{uuid}."""
    record = await asyncio.to_thread(_installer(service).cancel, path.uuid)
    return Answer(msgspec.json.encode(record))


async def available(service: Service, _: None) -> Answer:
    """GET /models/available."""
    installer = _installer(service)

    def told() -> bytes:
        return msgspec.json.encode([_shown(each.entry, installed=each.installed) for each in installer.available()])

    return Answer(await asyncio.get_running_loop().run_in_executor(service.galleries, told))


async def galleries(service: Service, _: None) -> Answer:
    """GET /models/galleries."""
    return Answer(msgspec.json.encode(_installer(service).sources))


async def _begin(service: Service, wish: Wish) -> Answer:
    key = await asyncio.to_thread(_installer(service).submit, wish)
    return Answer(msgspec.json.encode(JobStarted(key, f"{service.base_url}/models/jobs/{key}")))


def _installer(service: Service) -> Installer:
    assert service.installer is not None  # noqa: S101 - the app serves these routes only where there is one
    return service.installer


def _truth(given: bool | str) -> bool:  # noqa: FBT001 - a field of a request
    if isinstance(given, bool):
        return given
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
        "": False,
    }
    try:
        return words[given.strip().lower()]
    except KeyError:
        msg = f"preferences.embeddings is {given!r}; it can be true or false"
        raise InvalidInput(msg, param="preferences") from None


def _shown(entry: Entry, *, installed: bool) -> AvailableModel:
    return AvailableModel(
        name=entry.name,
        installed=installed,
        backend=entry.backend,
        url=entry.url,
        description=entry.description,
        license=entry.license,
        icon=entry.icon,
        size=entry.size,
        last_checked=entry.last_checked,
        urls=entry.urls,
        tags=entry.tags,
        files=entry.files,
        variants=tuple(variant.model for variant in entry.variants),
        overrides=entry.overrides,
        gallery=entry.gallery,
    )


_FAILURES: Mapping[int, str] = {
    400: "The body is not JSON, a field is wrong, or nothing or too much is asked for.",
    401: "The API key is missing or wrong.",
    403: "The key may not manage models; or there is none, and others than this machine reach the server.",
    404: "No job has that id.",
    413: "The body is larger than the server accepts.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "A bug; the server's log explains it.",
    503: "The server is shutting down.",
}
_JOB = {
    "uuid": "8d1a1e0e-7a0b-4a3e-9d0a-0a5a1d1f4c11",
    "status": "http://127.0.0.1:8080/models/jobs/8d1a1e0e-7a0b-4a3e-9d0a-0a5a1d1f4c11",
}


def _post(path: str, handle: Any, takes: Any, summary: str, *, example: Any = None, description: str) -> Operation[Any]:
    return Operation(
        method="POST",
        paths=(path,),
        dialect=OPENAI,
        handle=handle,
        takes=takes,
        gives=JobStarted,
        summary=summary,
        description=description,
        example=example,
        answers_with=_JOB,
        statuses=_FAILURES,
        right="install",
        addressed=example is None,
    )


def _get(path: str, handle: Any, takes: Any, gives: Any, summary: str, *more: int) -> Operation[Any]:
    return Operation(
        method="GET",
        paths=(path,),
        dialect=OPENAI,
        handle=handle,
        takes=takes,
        gives=gives,
        summary=summary,
        statuses={status: _FAILURES[status] for status in (401, 403, 404, 500, *more)},
        right="manage",
    )


_NONE = type(None)

OPERATIONS: tuple[Operation[Any], ...] = (
    _post(
        "/models/apply",
        apply,
        ApplyRequest,
        "Install a model (LocalAI)",
        example={"id": "localai@bert-embeddings", "name": "text-embedding-ada-002"},
        description="Begins a job; whether there is such a model is said by the job. Requests may name the model once it is `processed`.",
    ),
    _post(
        "/models/import-uri",
        import_uri,
        ImportRequest,
        "Install a model by its address (LocalAI)",
        example={"uri": "huggingface://sentence-transformers/all-MiniLM-L6-v2", "preferences": {"name": "minilm"}},
        description="As `/models/apply` with `uri`.",
    ),
    _post(
        "/models/delete/{name:path}",
        delete,
        DeletePath,
        "Delete a model and the files that no other uses (LocalAI)",
        description="Begins a job. Requests that the model has are answered.",
    ),
    _get("/models/jobs", jobs, _NONE, dict[str, Record], "List the jobs (LocalAI)"),
    _get("/models/jobs/{uuid}", job, JobPath, Record, "Say how a job is (LocalAI)"),
    Operation(
        method="DELETE",
        paths=("/models/jobs/{uuid}",),
        dialect=OPENAI,
        handle=cancel,
        takes=JobPath,
        gives=Record,
        summary="Cancel a job",
        description="What was downloaded stays, and the same wish resumes it.",
        statuses={status: _FAILURES[status] for status in (401, 403, 404, 500)},
        right="install",
    ),
    _get("/models/available", available, _NONE, list[AvailableModel], "List what the galleries have (LocalAI)", 503),
    _get("/models/galleries", galleries, _NONE, list[Source], "List the galleries (LocalAI)"),
)
