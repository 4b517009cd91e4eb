"""The models folder and its gallery, as the options have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from textmill.cli.externals import externals
from textmill.config import ServeOptions, download_proxy, hub_endpoint, network_fault, unproxied_hosts
from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    from textmill.folder.model import Folder
    from textmill.gallery.access import Access
    from textmill.gallery.entry import Source
    from textmill.gallery.gallery import Gallery

_NONE = "none"


def open_gallery(options: ServeOptions, folders: Sequence[Path] = ()) -> Gallery:
    """What installs into the models folder; ``folders`` are others that files may come from. Nothing is fetched yet.

    Raises ConfigInvalid for galleries that are none.
    """
    from textmill.gallery.gallery import Gallery  # noqa: PLC0415 - not every server downloads
    from textmill.gallery.modelfiles import Outside  # noqa: PLC0415
    from textmill.gallery.repository import HubCache  # noqa: PLC0415

    access = access_of(options)
    cache = Path(options.cache_dir) if options.cache_dir else None
    return Gallery(
        Path(options.models_path),
        sources=read_sources(options.galleries),
        access=access,
        folders=folders,
        repositories=HubCache(access, cache),
        outside=Outside(config_files(options), options.models),
    )


def models_folder(options: ServeOptions) -> Folder:
    """The models folder, read now, with what else the options count to it."""
    from textmill.folder.scan import scan  # noqa: PLC0415 - reads YAML

    return scan(
        Path(options.models_path),
        external=externals(options),
        config_files=config_files(options),
        python=options.python_models,
    )


def config_files(options: ServeOptions) -> tuple[Path, ...]:
    """The YAML files elsewhere whose models have their weights in the models folder."""
    return (Path(options.models_config_file),) if options.models_config_file else ()


def access_of(options: ServeOptions) -> Access:
    """How downloads may use the network; not at all where the environment's endpoint or proxy is no URL."""
    from textmill.gallery.access import HUB, Access  # noqa: PLC0415 - as above

    fault = network_fault()
    return Access(
        endpoint=HUB if fault else hub_endpoint(),
        token=options.token,
        proxy=None if fault else download_proxy(),
        fault=fault,
        unproxied=unproxied_hosts(),
        offline=options.offline,
        allowed_hosts=frozenset(options.download_host),
    )


def read_sources(given: Sequence[str]) -> tuple[Source, ...]:
    """Galleries from NAME=ADDRESS, or from LocalAI's JSON list; a name that comes again adds an address of the same index.

    Raises ConfigInvalid for what is neither.
    """
    from textmill.gallery.entry import Source  # noqa: PLC0415 - as above

    addresses: dict[str, list[str]] = {}
    for name, address in _pairs(given):
        addresses.setdefault(name, []).append(address)
    return tuple(Source(name, url, tuple(mirrors)) for name, (url, *mirrors) in addresses.items())


def _pairs(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in given:
        if text.strip().startswith("["):
            yield from _listed(text)
            continue
        name, equals, address = (part.strip() for part in text.partition("="))
        if name == _NONE and not equals and len(given) == 1:
            return
        if not (equals and name and address) or "@" in name or "/" in name:
            msg = f"the gallery {text!r} is not NAME=ADDRESS, such as localai=https://index.localai.io/models"
            raise ConfigInvalid(msg)
        yield name, address


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """The galleries of a JSON list, each with its name, its url, and its mirrors where it has some."""
    from textmill.gallery.entry import Source  # noqa: PLC0415 - as above

    try:
        sources = msgspec.json.decode(text, type=tuple[Source, ...])
    except msgspec.DecodeError as error:
        msg = f'the list of galleries is not JSON like [{{"name": "localai", "url": "https://…"}}]: {error}'
        raise ConfigInvalid(msg) from error
    for source in sources:
        yield from ((source.name, url) for url in (source.url, *source.mirrors))
