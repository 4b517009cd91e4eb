"""What is wrong with a setup, and what to do about it. Pure: facts go in, findings come out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from textmill.cli.setup import Setup
from textmill.config import ServeOptions, Serving
from textmill.folder.backends import Engine
from textmill.folder.described import without_effect
from textmill.folder.model import Folder, ModelFile

_MB = 10**6
_LITTLE = 10**9
"""Bytes of a disk below which downloads soon end."""
_EXTRAS: Mapping[Engine, str] = {"gguf": "llamacpp", "transformers": "transformers", "openvino-genai": "openvino-genai"}
"""The extras that engines of model files need."""
_OPEN = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know: an ``error`` keeps a model or the server from working, a ``warning`` does not. ``advice`` may be empty."""

    level: Literal["error", "warning"]
    about: str
    sentence: str
    advice: str = ""


def diagnose(
    setup: Setup, serving: Serving, folder: Folder, unset: Mapping[str, str] = MappingProxyType({})
) -> list[Finding]:
    """The findings, errors first. ``unset`` says of models on servers elsewhere what the environment lacks for them."""
    found = [
        *_of_notes(serving),
        *_of_machine(setup, serving.options),
        *_of_options(setup, serving),
        *_of_folder(folder, serving),
        *_of_engines(setup, folder),
        *(Finding("error", name, sentence) for name, sentence in unset.items()),
    ]
    return sorted(found, key=lambda finding: finding.level)


def fields_without_effect(model: ModelFile) -> Sequence[str]:
    """The fields of a model file that change nothing, or not yet, each with why. A backend outside is told all of them."""
    if model.external is not None:
        return []
    return [f"{each.key}: {each.state}" for each in without_effect(model.fields)]


def _of_notes(serving: Serving) -> Iterator[Finding]:
    for level, sentence in serving.notes:
        if level >= logging.WARNING:
            yield Finding("warning", "settings", sentence)


def _of_machine(setup: Setup, options: ServeOptions) -> Iterator[Finding]:
    if setup.cpu.features and not {"avx2", "neon"} & set(setup.cpu.features):
        yield Finding("warning", "cpu", "it has no AVX2, so models run several times slower", "use a newer machine")
    cache = setup.cache
    if not options.offline and not cache.writable:
        yield Finding(
            "error",
            "cache",
            f"{cache.folder} cannot be written, so no model can be downloaded",
            "name another folder by --cache-dir or HF_HUB_CACHE, or give --offline",
        )
    if cache.free is not None and cache.free < _LITTLE:
        yield Finding(
            "warning", "cache", f"its disk has {cache.free // _MB} MB left", "make room, or name another by --cache-dir"
        )
    for package in setup.packages:
        if not package.version and not package.extra:
            yield Finding("error", package.name, "it is not installed", "pip install --force-reinstall textmill")


def _of_options(setup: Setup, serving: Serving) -> Iterator[Finding]:
    options = serving.options
    if options.threads is not None and options.threads > setup.threads:
        yield Finding(
            "warning",
            serving.origins.get("threads", "threads"),
            f"{options.threads} threads are asked for, and this process may use {setup.threads}",
            "leave it out, or raise the CPU limit of the container",
        )
    most = setup.memory.limit or setup.memory.total
    if options.memory_limit is not None and most is not None and options.memory_limit * _MB > most:
        yield Finding(
            "warning",
            serving.origins.get("memory_limit", "memory_limit"),
            f"{options.memory_limit} MB are allowed, and there are {most // _MB} MB",
            "set it below that, or models are killed before they leave",
        )
    if options.host in _OPEN and not (options.api_key or options.api_key_file):
        yield Finding(
            "warning",
            serving.origins.get("host", "host"),
            "everyone who reaches the port may use the server",
            "give keys by TEXTMILL_API_KEY or --api-key-file, unless a network or proxy keeps strangers out",
        )
    needed = {
        "device": ("torch", options.device.startswith(("cuda", "xpu", "mps"))),
        "grpc_port": ("grpc", options.grpc_port is not None),
        "otlp_endpoint": ("otel", options.otlp_endpoint is not None),
    }
    for name, (extra, wanted) in needed.items():
        if wanted and extra in setup.missing:
            yield Finding(
                "error", serving.origins.get(name, name), f"the extra {extra} is missing", setup.missing[extra]
            )


def _of_folder(folder: Folder, serving: Serving) -> Iterator[Finding]:
    where = serving.origins.get("models_path")
    if where is not None and not folder.path.exists():
        yield Finding("error", where, f"there is no folder {folder.path}", "make it, or name another by --models-path")
    for problem in folder.problems:
        yield Finding(problem.level, problem.model or problem.file.name, str(problem))
    for model in folder.files:
        if model.refusal is not None and model.listed and not model.disabled:
            yield Finding("error", model.name, model.refusal)
    names = {model.name for model in folder.files} | {alias.name for alias in folder.aliases}
    for name in serving.options.load:
        if name not in names and name not in serving.options.models:
            near = folder.near(name)
            yield Finding(
                "error", name, "it is to be loaded, and is not in the folder", f"did you mean {near}?" if near else ""
            )


def _of_engines(setup: Setup, folder: Folder) -> Iterator[Finding]:
    """Models that could be served but for an extra."""
    for model in folder.files:
        extra = _EXTRAS.get(model.engine, "") if model.external is None else ""
        if extra in setup.missing and model.refusal is None and model.listed and not model.disabled:
            yield Finding("error", model.name, f"the extra {extra} is missing", setup.missing[extra])
