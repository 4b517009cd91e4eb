"""Whole repositories of the hub: what is in them, and those that run from the hub's cache put there."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from textmill.checkpoint.cache import find_snapshot
from textmill.checkpoint.hub import resolve
from textmill.errors import DownloadFailed, InvalidInput, ModelNotFound
from textmill.gallery.access import Access, shown
from textmill.gallery.progress import Meter, Report
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Repository
from textmill.gallery.web import Web

_LISTING = 16 << 20
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)", re.IGNORECASE)
_USUAL = "q4_k_m"
_SMALL = 16 << 20


class Repositories(Protocol):
    """Where repositories of the hub are kept that are used as they are."""

    def has(self, repository: Repository) -> bool:
        """Whether all that a model needs is there."""

    def fetch(self, repository: Repository, report: Report, stop: Stop) -> None:
        """Put it there; errors are those of `textmill.checkpoint.hub.resolve`, and CancelledError."""


class HubCache:
    """The cache of huggingface_hub, shared with every other tool."""

    def __init__(self, access: Access, cache_dir: Path | None = None) -> None:
        self._access = access
        self._cache_dir = cache_dir

    def has(self, repository: Repository) -> bool:
        """Whether all that a model needs is in the cache."""
        found = find_snapshot(repository.repo, repository.revision, self._cache_dir)
        return found is not None and not found.missing

    def fetch(self, repository: Repository, report: Report, stop: Stop) -> None:
        """Put a repository into the cache. Once large files come, ``report`` knows how large they are together.

        Raises what `resolve` raises.
        """
        access = self._access
        resolve(
            repository.repo,
            revision=repository.revision,
            token=access.token,
            offline=access.offline,
            endpoint=access.endpoint,
            cache_dir=self._cache_dir,
            bar=bar_of(repository.repo, report, stop),
            fault=access.fault,
        )


class _Sibling(msgspec.Struct):
    rfilename: str


class _Listing(msgspec.Struct):
    siblings: tuple[_Sibling, ...] = ()


def files_in(repository: Repository, web: Web, stop: Stop) -> tuple[str, ...] | None:
    """The names of a repository's files; None where the hub does not say."""
    try:
        return listing(repository, web, stop)
    except (DownloadFailed, ModelNotFound):
        # huggingface_hub will find the same, and has the better words for it.
        return None


def listing(repository: Repository, web: Web, stop: Stop) -> tuple[str, ...]:
    """The names of a repository's files. Raises ModelNotFound where the hub has none for us, DownloadFailed where it cannot say."""
    at = f"/revision/{quote(repository.revision, safe='')}" if repository.revision else ""
    url = f"{web.access.endpoint.rstrip('/')}/api/models/{repository.repo}{at}"
    body = web.get(url, limit=_LISTING, stop=stop).body
    try:
        return tuple(sibling.rfilename for sibling in msgspec.json.decode(body, type=_Listing).siblings)
    except msgspec.DecodeError as error:
        msg = f"{shown(url)} is no list of files: {error}"
        raise DownloadFailed(msg) from error


def gguf_of(files: Sequence[str], wanted: str) -> tuple[str, ...]:
    """The GGUF file to install, in all its parts, in order; none for a repository that is not run from GGUF.

    That is the one whose name has ``wanted`` in it, else 4 bits (Q4_K_M), else the last by name. A repository with other weights
    is run from those, unless something is wanted. Raises InvalidInput, with the names, where no file has it.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(files):
        if name.lower().endswith(".gguf") and "mmproj" not in name.lower():
            groups.setdefault(_SHARD.sub("", name), []).append(name)
    if not groups or (not wanted and any(name.endswith((".safetensors", ".onnx")) for name in files)):
        return ()
    asked = [stem for stem in groups if wanted.lower() in stem.lower()] if wanted else list(groups)
    if not asked:
        msg = f"no GGUF file has {wanted!r} in its name; there are {', '.join(groups)}"
        raise InvalidInput(msg, param="variant")
    usual = [stem for stem in asked if _USUAL in stem.lower()]
    return tuple(groups[(usual or asked)[-1]])


def bar_of(name: str, report: Report, stop: Stop) -> type[Any]:
    """A class for huggingface_hub's bars that draws nothing, tells of the bytes of ``name``, and ends a transfer that is stopped."""
    from tqdm.auto import tqdm  # noqa: PLC0415 - huggingface_hub loads it anyway, with its first download

    meter, most = Meter(name, report), 0

    class Bar(tqdm):  # type: ignore[misc] # it has no types
        def __init__(self, *args: Iterable[object], **options: Any) -> None:
            super().__init__(*args, **{**_known(options), "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal most
            stop.check()
            done: bool | None = super().update(n)
            if self.unit == "B":
                # Of two bars, one for the network and one for the disk, the one that is ahead.
                most = max(most, int(self.n))
                # The first, small files say nothing about how much there is.
                meter.at(most, int(self.total) if (self.total or 0) > _SMALL else None)
            return done

    return Bar


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without huggingface_hub's own."""
    return {key: value for key, value in options.items() if key != "name"}
