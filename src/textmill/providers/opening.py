"""From a model file to a model that its backend has loaded and that has shown what it can do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from textmill.contract import EmbedDefaults, EmbedOptions, ModelInfo, Task
from textmill.errors import ForwardFailed, InvalidInput, ModelBroken
from textmill.folder.backends import Backend as Named
from textmill.folder.backends import find_backend
from textmill.folder.external import External
from textmill.folder.model import ModelFile
from textmill.providers.backend import Backend, Patience
from textmill.providers.codes import Unimplemented
from textmill.providers.external import CALL_S, ExternalModel, Way
from textmill.providers.messages import PredictOptions
from textmill.providers.model_options import model_options
from textmill.providers.places import Places
from textmill.providers.pooled import Wanted, vector_of
from textmill.tasks.states import state_pooling

_PROBES = ("The mill turns.", "water drives a wheel of another house")
_TASKS: Mapping[str, Task] = {"embeddings": "embed", "rerank": "rerank"}
_OF_THE_MACHINE = ("Threads", "ModelFile", "ModelPath")
"""Options that vectors do not depend on."""


def open_model(
    file: ModelFile,
    external: External,
    root: Path,
    *,
    threads: int,
    environ: Mapping[str, str],
    places: Places,
) -> ExternalModel:
    """The model of a file of the models folder ``root``, in the backend ``external``; blocks.

    Texts are embedded before it is taken: their vectors must be vectors, and differ. Raises Unavailable where the backend does not
    come up, ModelBroken where it does not load the model or does not do what its file says, ConfigInvalid, LoadFailed.
    """
    known = find_backend(file.backend)
    options = model_options(file, root, threads, implied_type=known.type if isinstance(known, Named) else "")
    defaults = _defaults(file, options)
    backend = Backend(external, options, environ, places, _patience(file))
    with ExitStack() as undo:
        undo.callback(backend.close)
        backend.open()
        tasks = tuple(_TASKS[each] for each in file.capabilities if each in _TASKS)
        width = _width(backend, file, defaults, options.Model) if "embed" in tasks or not tasks else 0
        info = _info(file, external, options, tasks or ("embed",), width, defaults)
        undo.pop_all()
    norm = defaults.norm if "embd_normalize" in file.backend_options else None
    return ExternalModel(info, backend, options.Model, Way(defaults, norm))


def _defaults(file: ModelFile, options: Any) -> EmbedDefaults:
    """What embedding means where a call does not say. A pooling of `parameters` is done here, and llama.cpp is told to leave it."""
    stated = file.fields.parameters
    if stated is None or stated.pooling not in ("mean", "last", "decayed_mean"):
        return file.defaults
    if "llama" in file.backend and "pooling" not in file.backend_options:
        options.Options.append("pooling:none")
    return replace(file.defaults, pooling=stated.pooling)


def _patience(file: ModelFile) -> Patience:
    stated, usual = file.fields.grpc, Patience()
    if stated is None:
        return usual
    return Patience(
        stated.attempts or usual.attempts,
        usual.sleep_s if stated.attempts_sleep_time is None else float(stated.attempts_sleep_time),
    )


def _width(backend: Backend, file: ModelFile, defaults: EmbedDefaults, identity: str) -> int:
    """The width of the model's vectors. Raises ModelBroken where it gives none, or the same for two texts that differ."""
    pooling = state_pooling(EmbedOptions(), defaults)
    try:
        first, second = (
            vector_of(
                backend.ask("Embedding", PredictOptions(Embeddings=text, ModelIdentity=identity), CALL_S),
                Wanted(pooling),
                None,
                backend.name,
            )
            for text in _PROBES
        )
    except Unimplemented as error:
        says = "says that it embeds" if "embeddings" in file.capabilities else "says neither embeddings nor reranking"
        msg = f"the file of {file.name} {says}, and its backend {backend.name} does not embed"
        raise ModelBroken(msg) from error
    except (ForwardFailed, InvalidInput) as error:
        msg = f"a text could not be embedded to try it: {error}"
        raise ModelBroken(msg) from error
    if len(first) != len(second) or np.array_equal(first, second):
        msg = f"the backend {backend.name} gives the same vector for texts that differ, or vectors of several lengths"
        raise ModelBroken(msg)
    return len(first)


def _info(
    file: ModelFile, external: External, options: Any, tasks: tuple[Task, ...], width: int, defaults: EmbedDefaults
) -> ModelInfo:
    return ModelInfo(
        name=file.name,
        aliases=(),
        source=options.Model,
        revision=None,
        architecture=file.backend,
        tasks=tasks,
        labels=(),
        pooling="",
        dimensions=width,
        max_tokens=options.ContextSize,
        vocabulary=0,
        prompts=(),
        default_prompt=None,
        runtime="external",
        device=external.name,
        dtype=options.DType or "unknown",
        int8_cosine=None,
        threads=options.Threads,
        batch_tokens=options.NBatch,
        batch_rows=1,
        tokenization_workers=0,
        fingerprint=_fingerprint(file, external, options, width, defaults),
        created=int(time.time()),
        defaults=defaults,
    )


def _fingerprint(file: ModelFile, external: External, options: Any, width: int, defaults: EmbedDefaults) -> str:
    """16 hex digits over what is known of the vectors: backend, options, sizes of the weights, width; not the weights themselves."""
    told = type(options)()
    told.CopyFrom(options)
    for name in _OF_THE_MACHINE:
        told.ClearField(name)
    facts = hashlib.sha256(told.SerializeToString(deterministic=True))
    for stamp in sorted(file.stamps, key=lambda each: each.path):
        facts.update(f"{stamp.path} {stamp.size}\n".encode())
    script = external.script.name if external.script is not None else ""
    made = f"{external.name.lower()} {script} {width} {defaults.norm} {defaults.pooling} {defaults.half_life}"
    facts.update(made.encode())
    return facts.hexdigest()[:16]
