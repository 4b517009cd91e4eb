"""The cache of huggingface_hub, read directly.

Its layout is documented and stable (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): below
``models--owner--name``, ``refs/<revision>`` holds a commit and ``snapshots/<commit>`` its files. Reading it costs microseconds;
importing the library's own downloader for the same answer costs 0.2 s of every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from textmill.checkpoint.artefacts import choose, is_asked_for
from textmill.checkpoint.modules import MODULES, read_modules, read_router
from textmill.checkpoint.static import MODULE as STATIC
from textmill.checkpoint.tensors import WEIGHTS, weight_files
from textmill.config import cache_folder
from textmill.errors import ModelBroken

_TRANSFORMERS = ("Transformer", "MLMTransformer")
_WITHOUT_CONFIG = (*_TRANSFORMERS, STATIC, "Normalize", "Dropout")
_WITH_WEIGHTS = (*_TRANSFORMERS, "Dense", "LayerNorm", "SparseStaticEmbedding")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit's files in the cache; ``missing`` names those that a model needs and that are not there."""

    folder: Path
    commit: str
    missing: tuple[str, ...]


def find_snapshot(
    repo: str, revision: str | None, cache_dir: Path | None, *, backend: str = "auto", file: str | None = None
) -> Snapshot | None:
    """The cached snapshot of a hub repository, or None; ``revision`` is a branch, a tag or a commit.

    ``backend`` and ``file`` say which of its files are needed; see `textmill.checkpoint.artefacts`.
    """
    folder = snapshot_of(repo, revision, cache_dir)
    if folder is None:
        return None
    return Snapshot(folder, folder.name, tuple(missing_files(folder, backend=backend, file=file)))


def snapshot_of(repo: str, revision: str | None, cache_dir: Path | None) -> Path | None:
    """The folder of a repository's cached snapshot, whatever is in it, or None."""
    stored = (cache_dir or default_cache()) / f"models--{repo.replace('/', '--')}"
    wanted = revision or "main"
    if ".." in PurePosixPath(wanted).parts or PurePosixPath(wanted).is_absolute():
        return None
    ref = stored / "refs" / wanted
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else wanted
    folder = stored / "snapshots" / commit
    return folder if folder.is_dir() else None


def default_cache() -> Path:
    """The cache folder that HF_HOME and its kin give; huggingface_hub reads them."""
    try:
        # This module of the library is cheap: it imports nothing but the standard library.
        from huggingface_hub import constants  # noqa: PLC0415 - not needed where the caller names a cache
    except ValueError:
        # It takes HF_ENDPOINT apart and does not come up where that is no URL; what is cached needs none.
        return cache_folder().parent / "huggingface" / "hub"
    return Path(constants.HF_HUB_CACHE).expanduser()


def missing_files(folder: Path, *, backend: str = "auto", file: str | None = None) -> Iterator[str]:
    """The files, relative to ``folder``, that the model in it needs and lacks."""
    modules = _known_modules(folder)
    inside = next((path for name, path in modules if name in (*_TRANSFORMERS, STATIC)), folder)
    needed = [inside / "tokenizer.json"]
    needed += [] if any(name == STATIC for name, _ in modules) else [inside / "config.json"]
    needed += [path / "config.json" for name, path in modules if name not in _WITHOUT_CONFIG]
    heads = [path for name, path in modules if name in _WITH_WEIGHTS and path != inside]
    needed += [weight for head in heads for weight in _weights(head)]
    if is_asked_for(backend, file) or not all(path.is_file() for path in _weights(inside)):
        lacking = _lacking_graph(inside, backend, file)
        # What is asked for by no name is the safetensors, unless a graph stands in for them.
        needed += _weights(inside) if lacking and not is_asked_for(backend, file) else []
        if lacking and is_asked_for(backend, file):
            yield lacking
    for path in needed:
        if not path.is_file():
            yield path.relative_to(folder).as_posix()


def _lacking_graph(inside: Path, backend: str, file: str | None) -> str | None:
    """The graph's file that is not there; None where one is."""
    try:
        found = choose(inside, backend=backend, file=file)
    except ModelBroken:
        found = None
    return None if found else file or "onnx/model.onnx"


def _known_modules(folder: Path) -> list[tuple[str, Path]]:
    """Class names and folders of modules.json; none where it is absent or broken, which reading the recipe reports."""
    try:
        modules = read_modules(folder) if (folder / MODULES).is_file() else []
        if modules and modules[0].kind.endswith(".Router"):
            routes = read_router(folder, modules[0])
            modules = [module for route in routes.values() for module in route]
    except ModelBroken:
        return []
    return [(module.kind.rpartition(".")[2], folder / module.path) for module in modules]


def _weights(folder: Path) -> list[Path]:
    try:
        return weight_files(folder)
    except ModelBroken:
        return [folder / WEIGHTS]
