"""From a model file to a model that llama.cpp has loaded."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from textmill.contract import EmbedDefaults, ModelInfo, Task
from textmill.errors import ModelBroken
from textmill.folder.model import ModelFile
from textmill.folder.snapshot import parts_of
from textmill.providers.llamacpp.bound import Grammars, grammars_of
from textmill.providers.llamacpp.extra import need_llamacpp
from textmill.providers.llamacpp.model import LlamaModel, Way
from textmill.providers.llamacpp.options import Given, wanted
from textmill.providers.llamacpp.settings import Launch, Settings
from textmill.providers.llamacpp.supervised import Session, Supervised
from textmill.providers.llamacpp.tokens import Frame, frame_of

_log = logging.getLogger("textmill")

_YES_OR_NO = ("qwen3",)
"""Architectures whose rerankers answer yes or no, of which llama.cpp gives the share of yes."""
_BLOCKS, _BLOCK = 64, 1 << 16
_POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


def open_llama(file: ModelFile, root: Path, given: Given, environ: Mapping[str, str]) -> LlamaModel:
    """The model of a GGUF file of the models folder ``root``; blocks. ``environ`` is what its process gets.

    Raises ExtraMissing, ConfigInvalid for a value that is wrong, ModelBroken with llama.cpp's reason.
    """
    need_llamacpp()
    asked = wanted(file, root, given)
    for note in asked.notes:
        _log.warning("%s: %s", file.name, note)
    settings = asked.launch.settings
    llama = Supervised(file.name, asked.launch, environ)
    with ExitStack() as undo:
        undo.callback(llama.close)
        session = llama.open()
        with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of its own
            meta, frame, grammars, template = pool.submit(asyncio.run, _asked(session)).result()
        states = settings.pooling.endswith("_NONE") and settings.embedding
        shares = file.facts is not None and file.facts.gguf is not None and file.facts.gguf.architecture in _YES_OR_NO
        info = replace(_info(file, asked.launch, session, meta), template=template)
        undo.pop_all()
    return LlamaModel(info, llama, Way(settings.parallel, frame, states=states, shares=shares, grammars=grammars))


async def _asked(session: Session) -> tuple[Mapping[str, Any], Frame, Grammars | None, str]:
    """What llama.cpp says of the model, what stands around its texts, how it is bound by grammars, and its chat template."""
    models = await session.wire.get("/models")
    try:
        meta: Mapping[str, Any] = models["data"][0]["meta"]
    except (KeyError, IndexError, TypeError) as error:
        msg = "llama.cpp does not say what it has loaded"
        raise ModelBroken(msg) from error
    vocabulary = int(meta.get("n_vocab") or 0)
    grammars = await grammars_of(session.native, vocabulary) if session.process.guided else None
    about = await session.native.get("/props")
    return meta, await frame_of(session.native), grammars, str(about.get("chat_template") or "")


def _info(file: ModelFile, launch: Launch, session: Session, meta: Mapping[str, Any]) -> ModelInfo:
    settings = launch.settings
    tasks: tuple[Task, ...] = ("chat", "complete")
    if settings.embedding:
        tasks = ("rerank",) if settings.pooling.endswith("_RANK") else ("embed",)
    embeds = tasks == ("embed",)
    gguf = file.facts.gguf if file.facts is not None else None
    context = int(meta.get("n_ctx") or 0)
    # llama.cpp wants one place beside a prompt in a cache of keys and values, also where nothing is written.
    device = next((each for each in session.process.devices if each != "CPU"), "cpu")
    return ModelInfo(
        name=file.name,
        aliases=(),
        source=file.model,
        revision=None,
        architecture=gguf.architecture if gguf is not None else "",
        tasks=tasks,
        labels=(),
        pooling=_pooling(file, settings) if embeds else "",
        dimensions=int(meta.get("n_embd") or 0) if embeds else 0,
        max_tokens=context - 1 if settings.embedding and gguf is not None and gguf.cached else context,
        vocabulary=int(meta.get("n_vocab") or 0),
        prompts=(),
        default_prompt=None,
        runtime="llama.cpp",
        device=device,
        dtype=str(meta.get("ftype") or "unknown").removeprefix("(guessed) "),
        int8_cosine=None,
        threads=settings.threads,
        batch_tokens=settings.batch,
        batch_rows=settings.parallel,
        tokenization_workers=0,
        fingerprint=_fingerprint(file, launch),
        created=int(time.time()),
        defaults=_defaults(file, settings),
    )


def _pooling(file: ModelFile, settings: Settings) -> str:
    word = settings.pooling.rpartition("_")[2].lower()
    own = file.facts.gguf.pooling if file.facts is not None and file.facts.gguf is not None else ""
    return _POOLINGS.get(own if word == "unspecified" else word, "")


def _defaults(file: ModelFile, settings: Settings) -> EmbedDefaults:
    """What embedding means where a call does not say: llama.cpp has the pooling, unless it gives the vectors of tokens."""
    defaults = file.defaults
    return defaults if settings.pooling.endswith("_NONE") else replace(defaults, pooling="own")


def _fingerprint(file: ModelFile, launch: Launch) -> str:
    """16 hex digits over the weights, with their other parts and adapters, and what changes their vectors.

    Of each file its size, its beginning, its end and blocks evenly between them are read: a whole one may have many gigabytes.
    """
    settings, facts, sizes = launch.settings, hashlib.sha256(), []
    for path in (*parts_of(Path(settings.model)), *(Path(path) for path, _ in launch.lora)):
        size = path.stat().st_size
        sizes.append(size)
        with path.open("rb") as weights:
            for index in range(_BLOCKS):
                weights.seek(max(0, size - _BLOCK) * index // (_BLOCKS - 1))
                facts.update(weights.read(_BLOCK))
    made = (
        sizes,
        [scale for _, scale in launch.lora],
        settings.pooling,
        settings.rope_freq_base,
        settings.rope_freq_scale,
        settings.rope_scaling,
    )
    facts.update(msgspec.json.encode((*made, file.defaults.norm, file.defaults.pooling, file.defaults.half_life)))
    return facts.hexdigest()[:16]
