"""The models that a server begins with: those that were given, loaded, and those of its models folder, known."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from textmill.cli.expecting import as_expected, warn_of_unknown
from textmill.cli.externals import externals
from textmill.cli.galleries import config_files, open_gallery
from textmill.cli.loading import Loader, load_ours
from textmill.cli.preload import preload
from textmill.config import ServeOptions
from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    from textmill.cache.cache import Cache
    from textmill.gallery.gallery import Gallery
    from textmill.store.looks import Looks
    from textmill.store.offered import Offered
    from textmill.store.ondemand import OnDemand
    from textmill.store.served import Served
    from textmill.store.store import Store
    from textmill.telemetry import Telemetry

_log = logging.getLogger("textmill")

_DEFAULT = ("all-MiniLM-L6-v2",)
_MB = 10**6
_PARALLEL = 4
"""Models that load at once at the start: reading files and compiling leave cores idle now and then."""


def open_store(
    options: ServeOptions, telemetry: Telemetry, looks: Looks | None = None, cache: Cache | None = None
) -> Store:
    """A store with all models that were given or are to be loaded at the start, or none; those of the folder are known. They share the ``cache``.

    Where nothing was given, and the folder has no model, all-MiniLM-L6-v2 is.
    """
    from textmill.store.fetching import Fetching  # noqa: PLC0415
    from textmill.store.keeper import Keeper  # noqa: PLC0415 - with the runtime
    from textmill.store.memory import resident, trim  # noqa: PLC0415
    from textmill.store.offered import Offered  # noqa: PLC0415
    from textmill.store.shelf import Limits  # noqa: PLC0415
    from textmill.store.store import Store  # noqa: PLC0415

    limits = Limits(
        loaded=options.max_loaded_models,
        memory=None if options.memory_limit is None else options.memory_limit * _MB,
        idle_s=options.idle_unload_seconds,
    )
    path = Path(options.models_path)
    external = externals(options)
    gallery = open_gallery(options)
    for file in config_files(options):
        if not file.is_file():
            _log.warning(
                "%s, which --models-config-file names, is not there; until it is, nothing is installed or deleted", file
            )
    gallery.sweep()  # of what a killed process has left there
    preload(options.preload, gallery)
    given = given_models(options, resident())
    parallel = _PARALLEL if options.memory_limit is None else 1
    told = _Told(len({*given, *options.load}))
    with ExitStack() as opened:

        def open_one(name: str, called: str | None) -> Served:
            with told(called or name):
                model = load_ours(name, options, telemetry, called, cache=cache)
            opened.callback(model.close)
            return model

        with ThreadPoolExecutor(parallel) as pool:
            called = [options.served_model_name] if given else []
            models = list(pool.map(lambda pair: open_one(*pair), list(zip_longest(given, called))))
        store = Store(models, Keeper(limits, measure=resident, trim=trim))
        fetching = Fetching(gallery)
        loader = Loader(options, telemetry, fetching, cache)
        ways = partial(Offered, needs=loader.needs, python=options.python_models)
        files = config_files(options)
        offered = ways(path, store, loader.load, fetching.fetch, loader.weigh, files, looks, external)
        _expect(options.expect_fingerprint, models, store, offered, loader)
        if options.auto_download:
            store.find_by(_on_demand(gallery, loader, offered, options))
        store.load_now(options.load, parallel, told)
        store.also(offered.follow)
        store.also(fetching.until_the_end)
        opened.pop_all()
    if offered.folder.files:
        count = sum(file.listed for file in offered.folder.files)
        _log.info("%s offers %d model%s", path, count, "s"[: count != 1])
    return store


def _expect(expected: Sequence[str], models: Sequence[Served], store: Store, offered: Offered, loader: Loader) -> None:
    """Have aliases count where fingerprints are expected, and warn of names that no model has. Raises ConfigInvalid for models that are loaded."""
    loader.called(offered.aliases)
    for model in models:
        as_expected(model, expected, offered.aliases(model.info.name))
    sources = (known.source for known, _, _ in store.known(everything=True))
    warn_of_unknown(expected, {*store.names(), *sources})


def _on_demand(gallery: Gallery, loader: Loader, offered: Offered, options: ServeOptions) -> OnDemand:
    """Models of the hub that become known when a request names them."""
    from textmill.store.ondemand import OnDemand  # noqa: PLC0415

    return OnDemand(
        gallery,
        loader.load,
        weigh=loader.weigh,
        needs=loader.needs,
        taken=offered.has,
        offline=options.offline,
    )


class _Told:
    """Tells of each load at the start, of so many, how far they are; from any thread."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = count(1)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._total > 1:
            _log.info(
                "%d of %d models loaded: %s in %.1f s", next(self._done), self._total, name, time.perf_counter() - began
            )


def given_models(options: ServeOptions, memory: int) -> tuple[str, ...]:
    """The models to load at once, where the process uses so many bytes of ``memory``, 0 where nobody can tell.

    Raises ConfigInvalid where the options and what is there make no sense together.
    """
    from textmill.folder.scan import scan  # noqa: PLC0415
    from textmill.folder.snapshot import take_paths  # noqa: PLC0415

    if options.memory_limit is not None and not memory:
        msg = "--memory-limit needs a system that says how much memory a process uses, such as Linux; use --max-loaded-models"
        raise ConfigInvalid(msg)
    path = Path(options.models_path)
    try:
        take_paths(path)
    except NotADirectoryError:
        pass  # the log says so
    except OSError as error:
        msg = (
            f"the models folder {path} cannot be read ({error.strerror}); let its owner allow it, "
            "or name another with --models-path"
        )
        raise ConfigInvalid(msg) from None
    if options.models or options.preload:
        return options.models
    return () if scan(path, config_files=config_files(options)).files else _DEFAULT
