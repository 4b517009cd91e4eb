"""From a model file to a model on a server elsewhere that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

from textmill.contract import ModelInfo, Task
from textmill.errors import ConfigInvalid
from textmill.folder.capabilities import Capability
from textmill.folder.model import ModelFile
from textmill.folder.remote import Remote, remote_of
from textmill.providers.openai_model import Asking, Elsewhere, OpenAIModel
from textmill.providers.openai_speech import COMPATIBLE, LLAMA_CPP, MISTRAL, OLLAMA, OPENAI, VLLM, Speech
from textmill.providers.openai_wire import Patience, Retries, Target, Wire

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
_BASE64 = ("openai", "vllm", "llama.cpp")


def open_remote(
    file: ModelFile, key_of: Callable[[str], str], proxy_of: Callable[[str], str | None] = lambda _: None
) -> OpenAIModel:
    """The model of a file whose backend is a server elsewhere; blocks.

    ``key_of`` gives the key that a variable has, ``proxy_of`` the proxy for a host.

    A text is embedded to learn how long vectors are; a model that only writes is not tried. Raises ConfigInvalid for a key that is
    not there, and what `textmill.providers.openai_wire.Wire` does.
    """
    remote = remote_of(file.backend, file.backend_options)
    proxy = proxy_of(urlsplit(remote.base_url).hostname or "")
    target = replace(_target(file.backend, remote, _key(remote, key_of)), proxy=proxy or "")
    tasks = tuple(TASKS[each] for each in file.capabilities if each in TASKS)
    info = info_of(file, tasks, runtime="remote", device=urlsplit(remote.base_url).netloc)
    speech = SPEECHES[remote.kind]
    asking = asking_of(file, inputs=remote.inputs_per_request, base64=remote.kind in _BASE64)

    def made(wire: Wire, info: ModelInfo) -> OpenAIModel:
        return OpenAIModel(info, Elsewhere(wire), speech, asking)

    wire = Wire(target)
    if "embed" in tasks:
        info = replace(info, dimensions=asyncio.run(_width(made(wire, info), wire)))
    return made(Wire(target), info)


async def _width(model: OpenAIModel, wire: Wire) -> int:
    async with wire:
        return await model.probe()


def asking_of(file: ModelFile, *, inputs: int, base64: bool) -> Asking:
    """How the model of a file is asked."""
    norm = file.defaults.norm if "embd_normalize" in file.backend_options else None
    return Asking(name=file.model, inputs=inputs, base64=base64, norm=norm)


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


def _key(remote: Remote, key_of: Callable[[str], str]) -> str:
    """The key for a server. Raises ConfigInvalid where its variable has none."""
    if not remote.key_variable:
        return ""
    key = key_of(remote.key_variable)
    if not key:
        msg = f"{remote.key_variable} is not set, which has the key for {urlsplit(remote.base_url).netloc}; set it, or {remote.key_variable}_FILE"
        raise ConfigInvalid(msg)
    return key


def _target(backend: str, remote: Remote, key: str) -> Target:
    place = urlsplit(remote.base_url)
    if key and place.scheme == "http" and place.hostname not in ("127.0.0.1", "localhost", "::1"):
        _log.warning(
            "the key of %s goes to %s without TLS, so others on its way can read it", remote.key_variable, place.netloc
        )
    return Target(
        base_url=remote.base_url,
        name=backend if backend != "remote" else place.netloc,
        key=key,
        key_setting=remote.key_variable,
        key_header=remote.key_header,
        patience=Patience(connect_s=remote.connect_s, read_s=remote.timeout_s),
        retries=Retries(times=remote.retries, seconds=remote.retry_s),
    )
