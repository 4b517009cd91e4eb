"""The cache of huggingface_hub, read directly.

Its layout is documented and stable (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): below
``models--owner--name``, ``refs/<revision>`` holds a commit and ``snapshots/<commit>`` its files. Reading it costs microseconds;
importing the library's own downloader for the same answer costs 0.2 s of every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from textmill.checkpoint.modules import MODULES, read_modules
from textmill.checkpoint.tensors import WEIGHTS, weight_files
from textmill.errors import ModelBroken

_WITHOUT_CONFIG = ("Transformer", "Normalize", "Dropout")
_WITH_WEIGHTS = ("Transformer", "Dense", "LayerNorm")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit's files in the cache; ``missing`` names those that a model needs and that are not there."""

    folder: Path
    commit: str
    missing: tuple[str, ...]


def find_snapshot(repo: str, revision: str | None, cache_dir: Path | None) -> Snapshot | None:
    """The cached snapshot of a hub repository, or None; ``revision`` is a branch, a tag or a commit."""
    stored = (cache_dir or default_cache()) / f"models--{repo.replace('/', '--')}"
    wanted = revision or "main"
    if ".." in PurePosixPath(wanted).parts or PurePosixPath(wanted).is_absolute():
        return None
    ref = stored / "refs" / wanted
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else wanted
    folder = stored / "snapshots" / commit
    return Snapshot(folder, commit, tuple(missing_files(folder))) if folder.is_dir() else None


def default_cache() -> Path:
    """The cache folder that HF_HOME and its kin give; huggingface_hub reads them."""
    # This module of the library is cheap: it imports nothing but the standard library.
    from huggingface_hub import constants  # noqa: PLC0415 - not needed where the caller names a cache

    return Path(constants.HF_HUB_CACHE).expanduser()


def missing_files(folder: Path) -> Iterator[str]:
    """The files, relative to ``folder``, that the model in it needs and lacks."""
    modules = _known_modules(folder)
    inside = modules[0][1] if modules else folder
    needed = [inside / "config.json", inside / "tokenizer.json"]
    needed += [path / "config.json" for name, path in modules if name not in _WITHOUT_CONFIG]
    weighty = [path for name, path in modules if name in _WITH_WEIGHTS] or [folder]
    for path in [*needed, *(file for each in weighty for file in _weights(each))]:
        if not path.is_file():
            yield path.relative_to(folder).as_posix()


def _known_modules(folder: Path) -> list[tuple[str, Path]]:
    """Class names and folders of modules.json; none where it is absent or broken, which reading the recipe reports."""
    try:
        modules = read_modules(folder) if (folder / MODULES).is_file() else []
    except ModelBroken:
        return []
    return [(module.kind.rpartition(".")[2], folder / module.path) for module in modules]


def _weights(folder: Path) -> list[Path]:
    try:
        return weight_files(folder)
    except ModelBroken:
        return [folder / WEIGHTS]
