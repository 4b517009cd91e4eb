"""The cache as options have it, and what a model's rows are told apart by beside what is in them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from textmill.cache.cache import Cache, Recall
from textmill.cache.disk import Disk
from textmill.cache.memory import Memory
from textmill.config import ModelOptions
from textmill.contract import ModelInfo

_MB = 10**6


def open_cache(options: ModelOptions) -> Cache | None:
    """The cache that the options want, None where they want none. Raises ConfigInvalid for a file that cannot be one."""
    if not options.cache_memory and options.cache_path is None:
        return None
    memory = Memory(options.cache_memory * _MB) if options.cache_memory else None
    disk = None if options.cache_path is None else Disk(Path(options.cache_path), options.cache_size * _MB)
    return Cache(memory, disk)


def recall_of(cache: Cache, info: ModelInfo) -> Recall:
    """What a model's rows are looked up by: never those of other weights, prompts or precisions, nor of another runtime or version."""
    identity = (info.fingerprint, info.runtime, info.device, info.dtype, repr(info.int8_cosine))
    return cache.of(info.name, *identity, _version("textmill"), _version(info.runtime))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path, or a runtime of another name
        return ""
