"""`textmill serve`: load models, then answer HTTP until told to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from textmill import __version__
from textmill.cli.door import bind, url_of
from textmill.cli.flags import flags
from textmill.cli.logs import start_logging
from textmill.config import ServeOptions, available_threads, command_options, prepare_process, read_keys

if TYPE_CHECKING:
    from textmill.contract import ModelInfo
    from textmill.http.settings import HttpSettings
    from textmill.store.store import Store
    from textmill.telemetry import Telemetry


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",))
def serve(**given: Any) -> None:
    """Serve MODELs over HTTP; the first one is the default.

    MODEL is a folder, a hub id such as sentence-transformers/all-MiniLM-L6-v2, or the name of an installed model; without
    one, all-MiniLM-L6-v2. Each option can also be set by an environment variable, --port by TEXTMILL_PORT, or in the YAML
    file of --config, as port.
    """
    start = time.perf_counter()
    options = command_options(ServeOptions, given)
    start_logging(options.log_level, options.log_format)
    keys = (*options.api_key, *(read_keys(options.api_key_file) if options.api_key_file else ()))
    prepare_process(options.threads or available_threads())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # The port first: that it is taken should be known before models load. It refuses connections until they have.
    with bind(options.host, options.port) as door, ThreadPoolExecutor(1) as pool:
        loading = pool.submit(_load, options)
        # While the models load in their thread, this one imports what answers.
        from textmill.cli.server import run_server  # noqa: PLC0415
        from textmill.http.app import create_app  # noqa: PLC0415
        from textmill.store.permits import Permits  # noqa: PLC0415

        store, telemetry = loading.result()
        infos = [model.info for model in store.models()]
        permits = Permits(options.max_concurrent_requests)
        try:
            run_server(
                create_app(store, _settings(options, keys), telemetry, permits),
                door,
                permits=permits,
                drain_s=options.drain_seconds,
                announce=lambda: click.echo(ready_line(url_of(door), infos, time.perf_counter() - start)),
            )
        finally:
            # The app has closed it, unless it never ran: another process may have taken the port meanwhile.
            store.close(drain_s=0)


def ready_line(url: str, models: Sequence[ModelInfo], seconds: float) -> str:
    """The one line that says that, where and with what the server answers."""
    shown = ", ".join(f"{m.name} ({m.runtime}, {m.dtype}, {m.threads} thread{'s'[: m.threads > 1]})" for m in models)
    return f"textmill {__version__} ready on {url} with {shown} after {seconds:.1f} s"


def _settings(options: ServeOptions, keys: tuple[str, ...]) -> HttpSettings:
    from textmill.http.settings import MAX_INPUTS, HttpSettings  # noqa: PLC0415 - with the app

    return HttpSettings(
        api_keys=keys,
        cors_origins=options.cors_origin,
        body_limit=options.body_limit,
        drain_s=options.drain_seconds,
        version=__version__,
        max_inputs=options.max_client_batch_size or MAX_INPUTS,
        auto_truncate=options.auto_truncate,
        tei_compat=options.tei_compat,
        max_concurrent_requests=options.max_concurrent_requests,
    )


def _load(options: ServeOptions) -> tuple[Store, Telemetry]:
    """All models, or none: those that loaded before one that failed are closed."""
    from textmill.store.load import load_model  # noqa: PLC0415 - imports the runtime
    from textmill.store.store import Store  # noqa: PLC0415
    from textmill.telemetry import Telemetry  # noqa: PLC0415

    telemetry = Telemetry()
    with ExitStack() as opened:
        models = [
            opened.enter_context(load_model(name, options.for_model(), telemetry.observe_batch))
            for name in options.models
        ]
        store = Store(models)
        opened.pop_all()
    return store, telemetry


def _leave(number: int, frame: FrameType | None) -> None:
    """Stop while models load: nothing is under way, and the thread that loads cannot be asked to end."""
    del frame
    os._exit(0 if number == signal.SIGTERM else 128 + number)
