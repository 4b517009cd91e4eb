"""`textmill serve`: load models, then answer HTTP and gRPC until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from textmill import __version__
from textmill.cli.caching import caching
from textmill.cli.door import address_of, bind, is_exposed, refuse_shared, url_of
from textmill.cli.flags import Grouped, flags, spellings
from textmill.cli.galleries import open_gallery
from textmill.cli.logs import start_logging
from textmill.cli.models import open_store
from textmill.cli.observing import observing
from textmill.cli.token_input import open_token_input
from textmill.config import (
    TEI_DEFAULTS,
    ServeOptions,
    Serving,
    available_threads,
    prepare_process,
    read_keys,
    serve_options,
)
from textmill.config.serving import TABLES

if TYPE_CHECKING:
    from textmill.contract import ModelInfo
    from textmill.gallery.installer import Installer
    from textmill.grpc.server import GrpcServer
    from textmill.http.settings import HttpSettings
    from textmill.store.looks import Looks
    from textmill.store.permits import Permits
    from textmill.store.store import Store
    from textmill.telemetry import Telemetry


_log = logging.getLogger("textmill")


@click.command(cls=Grouped)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",))
@spellings(*TABLES)
def serve(**given: Any) -> None:
    """Serve MODELs over HTTP, and over gRPC with --grpc-port; the first one is the default.

    MODEL is a folder, a hub id such as sentence-transformers/all-MiniLM-L6-v2, or the name of an installed model; without
    one, all-MiniLM-L6-v2. Each option can also be set by an environment variable, --port by TEXTMILL_PORT, or in the YAML
    file of --config, as port. The flags and variables of Text Embeddings Inference and of LocalAI
    work too.
    """
    run(serve_options(given))


@click.command(cls=Grouped)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",), defaults=TEI_DEFAULTS)
@spellings(TABLES[0])
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
    refuse_shared(
        {"--port": options.port, "--grpc-port": options.grpc_port, "--prometheus-port": options.prometheus_port}
    )
    start_logging(options.log_level, options.log_format, spans=not options.disable_spans)
    for level, sentence in serving.notes:
        _log.log(level, "%s", sentence)
    keys, admin_keys = _keys(options)
    texts = open_token_input(options)
    prepare_process(options.threads or available_threads())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # The ports first: that one is taken should be known before models load. They refuse connections until they have.
    with ExitStack() as doors, observing(options) as telemetry, ThreadPoolExecutor(1) as pool:
        door = doors.enter_context(bind(options.host, options.port))
        grpc_door = _bind_grpc(options, doors)
        from textmill.store.looks import Looks  # noqa: PLC0415 - asyncio is not needed before

        looks = Looks()
        cache = doors.enter_context(caching(options, telemetry))
        loading = pool.submit(open_store, options, telemetry, looks, cache)
        # While the models load in their thread, this one imports what answers.
        from textmill.cli.server import run_server  # noqa: PLC0415
        from textmill.http.app import create_app  # noqa: PLC0415
        from textmill.store.permits import Permits  # noqa: PLC0415

        store = loading.result()
        infos = [model.info for model in store.models()]
        permits = Permits(options.max_concurrent_requests)
        urls = [url_of(door), *([f"grpc://{address_of(grpc_door)}"] if grpc_door else [])]
        settings = replace(_settings(serving, keys), admin_keys=admin_keys, exposed=is_exposed(door))
        try:
            run_server(
                create_app(store, settings, telemetry, permits, _installer(options, looks), texts),
                door,
                permits=permits,
                grpc=_grpc(options, settings, grpc_door, store, telemetry, permits) if grpc_door else None,
                drain_s=options.drain_seconds,
                announce=lambda: _announce(urls, infos, time.perf_counter() - start),
            )
        finally:
            # The app has closed it, unless it never ran: another process may have taken the port meanwhile.
            store.close(drain_s=0)
    if store.loading:  # its thread cannot be asked to end, and would be in the way of the interpreter's end
        logging.shutdown()
        os._exit(0)


def _keys(options: ServeOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The API keys and the admin's. Raises ConfigInvalid for a file of keys that is none."""
    keys = (*options.api_key, *(read_keys(options.api_key_file) if options.api_key_file else ()))
    admin_file = read_keys(options.admin_key_file, "--admin-key-file") if options.admin_key_file else ()
    return keys, (*options.admin_key, *admin_file)


def _installer(options: ServeOptions, looks: Looks) -> Installer | None:
    if options.disable_gallery_endpoint:
        return None
    from textmill.gallery.installer import Installer  # noqa: PLC0415 - not every server has it

    return Installer(open_gallery(options), looks.ask)


def ready_line(url: str, models: Sequence[ModelInfo], seconds: float) -> str:
    """The one line that says that, where and with what the server answers."""
    shown = ", ".join(f"{m.name} ({m.runtime}, {m.dtype}, {m.threads} thread{'s'[: m.threads > 1]})" for m in models)
    return f"textmill {__version__} ready on {url} with {shown or 'no model loaded yet'} after {seconds:.1f} s"


def _announce(urls: Sequence[str], models: Sequence[ModelInfo], seconds: float) -> None:
    click.echo(ready_line(" and ".join(urls), models, seconds))
    # Deployments of TEI wait for these in its log. Not before the port listens: it may have been taken meanwhile.
    _log.info("Starting HTTP server: %s", urls[0].partition("://")[2])
    _log.info("Ready")


def _settings(serving: Serving, keys: tuple[str, ...]) -> HttpSettings:
    from textmill.http.settings import MAX_INPUTS, HttpSettings  # noqa: PLC0415 - with the app

    options = serving.options
    return HttpSettings(
        api_keys=keys,
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
        as_tei=serving.as_tei,
        metrics=options.metrics,
        anyone_installs=options.allow_insecure_public_bind,
        any_model_name=serving.as_tei and len(options.models) == 1,
    )


def _bind_grpc(options: ServeOptions, doors: ExitStack) -> socket.socket | None:
    """The port of gRPC, if there is to be one. Raises ConfigInvalid, or ExtraMissing where the packages are missing."""
    if options.grpc_port is None:
        return None
    from textmill.grpc.extra import need_grpc  # noqa: PLC0415 - imports grpc

    need_grpc()
    return doors.enter_context(bind(options.host, options.grpc_port, flag="--grpc-port"))


def _grpc(
    options: ServeOptions,
    http: HttpSettings,
    door: socket.socket,
    store: Store,
    telemetry: Telemetry,
    permits: Permits,
) -> GrpcServer:
    from textmill.grpc.server import GrpcServer  # noqa: PLC0415 - not everyone has grpc
    from textmill.grpc.service import Service  # noqa: PLC0415
    from textmill.grpc.settings import GrpcSettings  # noqa: PLC0415
    from textmill.http.keys import Keys  # noqa: PLC0415

    settings = GrpcSettings(
        version=__version__,
        message_limit=options.body_limit,
        max_inputs=http.max_inputs,
        ahead=options.grpc_max_parallel_stream_requests,
        max_concurrent_requests=options.max_concurrent_requests,
    )
    service = Service(store, settings, telemetry, permits, Keys(http.keys).admits)
    return GrpcServer(service, address_of(door))


def _leave(number: int, frame: FrameType | None) -> None:
    """Stop while models load: nothing is under way, and the thread that loads cannot be asked to end."""
    del frame
    os._exit(0 if number == signal.SIGTERM else 128 + number)
