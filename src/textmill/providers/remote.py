"""From a model file to a model on a server elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from textmill.contract import ModelInfo, Task
from textmill.folder.capabilities import Capability
from textmill.folder.model import ModelFile
from textmill.folder.remote import DOES, Remote
from textmill.folder.remote_options import remote_of
from textmill.providers.asking import Asking
from textmill.providers.openai_speech import COMPATIBLE, LLAMA_CPP, MISTRAL, OLLAMA, OPENAI, VLLM, Speech
from textmill.providers.openai_wire import Patience, Retries, Target, Wire
from textmill.providers.remote_dialects import DIALECTS
from textmill.providers.remote_model import Elsewhere, RemoteModel
from textmill.providers.remote_settings import key_of, placed

_log = logging.getLogger("textmill")

SPEECHES: Mapping[str, Speech] = MappingProxyType(
    {
        "openai": OPENAI,
        "compatible": COMPATIBLE,
        "llama.cpp": LLAMA_CPP,
        "vllm": VLLM,
        "mistral": MISTRAL,
        "ollama": OLLAMA,
    }
)
"""What each kind of server understands."""
TASKS: Mapping[Capability, Task] = MappingProxyType(
    {"embeddings": "embed", "rerank": "rerank", "chat": "chat", "completion": "complete"}
)
"""What a server elsewhere can do of what a model file may say."""


def open_remote(
    file: ModelFile, setting_of: Callable[[str], str], proxy_of: Callable[[str], str | None] = lambda _: None
) -> RemoteModel:
    """The model of a file whose backend is a server elsewhere; blocks.

    ``setting_of`` gives what a variable has, which is a key or an address, ``proxy_of`` the proxy for a host.

    A text is embedded to learn how long vectors are; a model that only writes is not tried. Raises ConfigInvalid for a key or an address
    that is not there, and what `textmill.providers.openai_wire.Wire` does.
    """
    remote = placed(remote_of(file.backend, file.backend_options), setting_of)
    variable, key = key_of(remote, setting_of)
    remote = _by_key(remote, key)
    host = urlsplit(remote.base_url).hostname or ""
    target = replace(_target(file, remote, variable, key), proxy=proxy_of(host) or "")
    does = DOES[remote.dialect]
    tasks = tuple(TASKS[each] for each in file.capabilities if each in TASKS and each in does)
    info = info_of(file, tasks, runtime="remote", device=urlsplit(remote.base_url).netloc)
    asking = asking_of(file, remote)

    def made(wire: Wire, info: ModelInfo) -> RemoteModel:
        return RemoteModel(info, Elsewhere(wire), SPEECHES[remote.kind], asking)

    wire = Wire(target)
    if "embed" in tasks:
        width = asyncio.run(_width(made(wire, info), wire))
        # One host may have several servers, by paths.
        told = f"{info.fingerprint} {urlsplit(remote.base_url).path} {asking.roles.get(asking.role_default)}"
        fingerprint = hashlib.sha256(told.encode()).hexdigest()[:16]
        info = replace(info, dimensions=width, prompts=tuple(sorted(asking.roles)), fingerprint=fingerprint)
    return made(Wire(target), info)


async def _width(model: RemoteModel, wire: Wire) -> int:
    async with wire:
        return await model.probe()


def asking_of(file: ModelFile, remote: Remote) -> Asking:
    """How the model of a file is asked for vectors and scores."""
    told = any(file.model.endswith(role.suffix) for role in remote.roles.values() if role.suffix)
    return Asking(
        name=file.model,
        dialect=DIALECTS[remote.dialect](),
        inputs=remote.inputs_per_request,
        size=remote.bytes_per_request,
        documents=remote.documents_per_request,
        at_once=remote.requests_at_once,
        retries=Retries(times=remote.retries, seconds=remote.retry_s),
        input_field=remote.input_field,
        dimensions_field=remote.dimensions_field,
        encoding_field=remote.encoding_field if remote.as_base64 else "",
        role_field=remote.role_field,
        role_default="" if told else remote.role_default,
        roles={} if told else remote.roles,  # the model is named with its role already
        norm=norm_of(file),
    )


def norm_of(file: ModelFile) -> int | None:
    """How the vectors of a model are scaled where a request does not say; None for as they come."""
    return file.defaults.norm if "embd_normalize" in file.backend_options else None


def info_of(file: ModelFile, tasks: tuple[Task, ...], *, runtime: str, device: str) -> ModelInfo:
    """What is known of a model that runs elsewhere, without the width of its vectors.

    Its fingerprint is of names and places: what the server does besides, nobody can see from here.
    """
    facts = f"{runtime} {device} {file.backend} {file.model} {file.defaults.norm if 'embed' in tasks else ''}"
    for stamp in sorted(file.stamps, key=lambda each: each.path):
        facts += f"\n{stamp.path} {stamp.size}"
    context = file.fields.context_size or file.fields.max_model_len or 0
    return ModelInfo(
        name=file.name,
        aliases=(),
        source=file.model,
        revision=None,
        architecture=file.backend,
        tasks=tasks,
        labels=(),
        pooling="",
        dimensions=0,
        max_tokens=max(context, 0),
        vocabulary=0,
        prompts=(),
        default_prompt=None,
        runtime=runtime,
        device=device,
        dtype=file.fields.dtype or "unknown",
        int8_cosine=None,
        threads=0,
        batch_tokens=0,
        batch_rows=1,
        tokenization_workers=0,
        fingerprint=hashlib.sha256(facts.encode()).hexdigest()[:16],
        created=int(time.time()),
        defaults=file.defaults,
    )


def _by_key(remote: Remote, key: str) -> Remote:
    """The server that the key belongs to."""
    place = next((url for beginning, url in remote.key_places.items() if key.startswith(beginning)), None)
    return remote if place is None else replace(remote, base_url=place)


def _target(file: ModelFile, remote: Remote, variable: str, key: str) -> Target:
    place = urlsplit(remote.base_url)
    if key and place.scheme == "http" and place.hostname not in ("127.0.0.1", "localhost", "::1"):
        _log.warning("the key of %s goes to %s without TLS, so others on its way can read it", variable, place.netloc)
    versioned = place.path.endswith("/openai/v1")  # Azure's newer address needs neither
    deployment = "" if versioned else remote.deployment.format(model=quote(file.model, safe=""))
    return Target(
        base_url=remote.base_url + deployment,
        name=file.backend if file.backend != "remote" else place.netloc,
        key=key,
        key_setting=variable,
        key_header=remote.key_header,
        key_scheme=remote.key_scheme,
        query="" if versioned else remote.query,
        patience=Patience(connect_s=remote.connect_s, read_s=remote.timeout_s),
        retries=Retries(times=remote.retries, seconds=remote.retry_s),
    )
