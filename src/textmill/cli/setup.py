"""What there is on this machine for textmill, as facts: packages, the hub's cache, the disk. Nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from textmill import __version__
from textmill.config import ServeOptions, available_threads
from textmill.config.surroundings import Cpu, Memory, cpu, memory, network

CORE = ("openvino", "tokenizers", "huggingface_hub", "numpy")
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "grpc": ("grpcio", "grpcio-health-checking", "grpcio-reflection"),
    "llamacpp": ("llguidance", "xllamacpp"),
    "openvino-genai": ("jinja2", "openvino-genai"),
    "otel": (
        "opentelemetry-exporter-otlp-proto-grpc",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-sdk",
    ),
    "tiktoken": ("tiktoken",),
    "torch": ("torch",),
    "transformers": ("jinja2", "llguidance", "torch", "transformers"),
}
"""The extras of the package, and what each installs."""
_MOST_FILES = 50_000


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution: its ``version``, empty where it is missing, and the ``extra`` that installs it, empty for the core."""

    name: str
    version: str
    extra: str = ""


@dataclass(frozen=True, slots=True)
class Cache:
    """The hub's cache: how many repositories and bytes it has; ``free`` bytes of the disk, None where there is none."""

    folder: Path
    repositories: int = 0
    size: int = 0
    free: int | None = None
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Setup:
    """The facts about a machine."""

    textmill: str
    python: str
    platform: str
    cpu: Cpu
    threads: int
    memory: Memory
    packages: tuple[Package, ...]
    cache: Cache
    network: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> Mapping[str, str]:
        """The extras that are not installed whole, and the command that installs each."""
        extras = {each.extra: f"pip install 'textmill[{each.extra}]'" for each in self.packages if not each.version}
        return {extra: command for extra, command in extras.items() if extra}


def look(options: ServeOptions) -> Setup:
    """Look at this machine."""
    return Setup(
        textmill=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        platform=platform.platform(),
        cpu=cpu(),
        threads=available_threads(),
        memory=memory(),
        packages=packages(),
        cache=look_at_cache(Path(options.cache_dir or ".")),
        network=network(),
    )


def packages() -> tuple[Package, ...]:
    """What computes and what extras install, with versions."""
    core = [Package(name, _version(name)) for name in CORE]
    return (*core, *(Package(name, _version(name), extra) for extra, names in EXTRAS.items() for name in names))


def look_at_cache(folder: Path) -> Cache:
    """The repositories in the hub's cache and what they weigh; of very many files the first are counted."""
    repositories, size, seen = 0, 0, 0
    for repository in _entries(folder):
        if not repository.name.startswith("models--"):
            continue
        repositories += 1
        for blob in _entries(Path(repository.path) / "blobs"):
            seen += 1
            if seen > _MOST_FILES:
                break
            size += _size(blob)
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), None)
    try:
        free = None if there is None else shutil.disk_usage(there).free
    except OSError:
        free = None
    return Cache(folder, repositories, size, free, there is not None and os.access(there, os.W_OK))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return 0
