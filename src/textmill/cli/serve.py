"""`textmill serve`: load models, then answer HTTP until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import zip_longest
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from textmill import __version__
from textmill.cli.door import bind, url_of
from textmill.cli.flags import Grouped, flags, spellings
from textmill.cli.logs import start_logging
from textmill.cli.observing import observing
from textmill.config import TEI_DEFAULTS, ServeOptions, Serving, available_threads, prepare_process, serve_options

if TYPE_CHECKING:
    from textmill.contract import ModelInfo
    from textmill.http.settings import HttpSettings
    from textmill.store.store import Store
    from textmill.telemetry import Telemetry


_log = logging.getLogger("textmill")


@click.command(cls=Grouped)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",))
@spellings
def serve(**given: Any) -> None:
    """Serve MODELs over HTTP; the first one is the default.

    MODEL is a folder, a hub id such as sentence-transformers/all-MiniLM-L6-v2, or the name of an installed model; without
    one, all-MiniLM-L6-v2. Each option can also be set by an environment variable, --port by TEXTMILL_PORT, or in the YAML
    file of --config, as port. The flags and variables of Text Embeddings Inference work too.
    """
    run(serve_options(given))


@click.command(cls=Grouped)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",), defaults=TEI_DEFAULTS)
@spellings
@click.version_option(__version__, "--version", "-V", message="textmill %(version)s")
def tei(**given: Any) -> None:
    """Serve as Text Embeddings Inference does: `textmill serve` with its defaults.

    A model must be named, by --model-id or as MODEL. Its inputs have at most as many tokens as --max-batch-tokens says, 16,384
    by default, and batches are as large as the backend is fast at. A prompt that its files make the default is left out, as
    Text Embeddings Inference does; --default-prompt-name names one.
    """
    run(serve_options(given, as_tei=True))


def run(serving: Serving) -> None:
    """Load the models and answer until told to stop."""
    start = time.perf_counter()
    options = serving.options
    start_logging(options.log_level, options.log_format, spans=not options.disable_spans)
    for level, sentence in serving.notes:
        _log.log(level, "%s", sentence)
    prepare_process(options.threads or available_threads())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # The port first: that it is taken should be known before models load. It refuses connections until they have.
    with (
        bind(options.host, options.port) as door,
        observing(options) as telemetry,
        ThreadPoolExecutor(1) as pool,
    ):
        loading = pool.submit(_load, options, telemetry)
        # While the models load in their thread, this one imports what answers.
        from textmill.cli.server import run_server  # noqa: PLC0415
        from textmill.http.app import create_app  # noqa: PLC0415

        store = loading.result()
        infos = [model.info for model in store.models()]
        try:
            run_server(
                create_app(store, _settings(serving), telemetry),
                door,
                drain_s=options.drain_seconds,
                announce=lambda: _announce(url_of(door), infos, time.perf_counter() - start),
            )
        finally:
            # The app has closed it, unless it never ran: another process may have taken the port meanwhile.
            store.close(drain_s=0)


def ready_line(url: str, models: Sequence[ModelInfo], seconds: float) -> str:
    """The one line that says that, where and with what the server answers."""
    shown = ", ".join(f"{m.name} ({m.runtime}, {m.dtype}, {m.threads} thread{'s'[: m.threads > 1]})" for m in models)
    return f"textmill {__version__} ready on {url} with {shown} after {seconds:.1f} s"


def _announce(url: str, models: Sequence[ModelInfo], seconds: float) -> None:
    click.echo(ready_line(url, models, seconds))
    # Deployments of TEI wait for these in its log. Not before the port listens: it may have been taken meanwhile.
    _log.info("Starting HTTP server on %s", url)
    _log.info("Ready")


def _settings(serving: Serving) -> HttpSettings:
    from textmill.http.settings import MAX_INPUTS, HttpSettings  # noqa: PLC0415 - with the app

    options = serving.options
    return HttpSettings(
        api_keys=options.api_key,
        cors_origins=options.cors_origin,
        body_limit=options.body_limit,
        drain_s=options.drain_seconds,
        version=__version__,
        max_inputs=options.max_client_batch_size or MAX_INPUTS,
        client_batch_size=serving.client_batch_size or MAX_INPUTS,
        auto_truncate=options.auto_truncate,
        tei_compat=options.tei_compat,
        max_concurrent_requests=options.max_concurrent_requests,
        root_task=options.root_task,
        predict_route=options.predict_route,
        health_route=options.health_route,
    )


def _load(options: ServeOptions, telemetry: Telemetry) -> Store:
    """All models, or none: those that loaded before one that failed are closed."""
    from textmill.store.load import load_model  # noqa: PLC0415 - imports the runtime
    from textmill.store.store import Store  # noqa: PLC0415
    from textmill.telemetry.counted import counted  # noqa: PLC0415

    with ExitStack() as opened:
        models = []
        for name, called in zip_longest(options.models, [options.served_model_name]):
            with telemetry.loading(called or name):
                loaded = load_model(name, options.for_model(), telemetry.observe_batch, called=called)
                models.append(opened.enter_context(loaded))
        store = Store([counted(model, telemetry) for model in models])
        opened.pop_all()
    return store


def _leave(number: int, frame: FrameType | None) -> None:
    """Stop while models load: nothing is under way, and the thread that loads cannot be asked to end."""
    del frame
    os._exit(0 if number == signal.SIGTERM else 128 + number)
