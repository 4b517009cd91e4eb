"""`textmill serve`: load models, then answer HTTP and gRPC until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from textmill import __version__
from textmill.cli.door import address_of, bind, url_of
from textmill.cli.flags import flags
from textmill.cli.logs import start_logging
from textmill.config import ServeOptions, available_threads, command_options, prepare_process

if TYPE_CHECKING:
    from textmill.contract import ModelInfo
    from textmill.grpc.server import GrpcServer
    from textmill.http.settings import HttpSettings
    from textmill.store.permits import Permits
    from textmill.store.store import Store
    from textmill.telemetry import Telemetry


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",))
def serve(**given: Any) -> None:
    """Serve MODELs over HTTP, and over gRPC with --grpc-port; the first one is the default.

    MODEL is a folder, a hub id such as sentence-transformers/all-MiniLM-L6-v2, or the name of an installed model; without
    one, all-MiniLM-L6-v2. Each option can also be set by an environment variable, --port by TEXTMILL_PORT, or in the YAML
    file of --config, as port.
    """
    start = time.perf_counter()
    options = command_options(ServeOptions, given)
    start_logging(options.log_level, options.log_format)
    prepare_process(options.threads or available_threads())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # The ports first: that one is taken should be known before models load. They refuse connections until they have.
    with ExitStack() as doors, ThreadPoolExecutor(1) as pool:
        door = doors.enter_context(bind(options.host, options.port))
        grpc_door = _bind_grpc(options, doors)
        loading = pool.submit(_load, options)
        # While the models load in their thread, this one imports what answers.
        from textmill.cli.server import run_server  # noqa: PLC0415
        from textmill.http.app import create_app  # noqa: PLC0415
        from textmill.store.permits import Permits  # noqa: PLC0415

        store, telemetry = loading.result()
        infos = [model.info for model in store.models()]
        permits = Permits(options.max_concurrent_requests)
        urls = [url_of(door), *([f"grpc://{address_of(grpc_door)}"] if grpc_door else [])]
        try:
            run_server(
                create_app(store, _settings(options), telemetry),
                door,
                permits=permits,
                grpc=_grpc(options, grpc_door, store, telemetry, permits) if grpc_door else None,
                drain_s=options.drain_seconds,
                announce=lambda: click.echo(ready_line(" and ".join(urls), infos, time.perf_counter() - start)),
            )
        finally:
            # The app has closed it, unless it never ran: another process may have taken the port meanwhile.
            store.close(drain_s=0)


def ready_line(url: str, models: Sequence[ModelInfo], seconds: float) -> str:
    """The one line that says that, where and with what the server answers."""
    shown = ", ".join(f"{m.name} ({m.runtime}, {m.dtype}, {m.threads} thread{'s'[: m.threads > 1]})" for m in models)
    return f"textmill {__version__} ready on {url} with {shown} after {seconds:.1f} s"


def _settings(options: ServeOptions) -> HttpSettings:
    from textmill.http.settings import MAX_INPUTS, HttpSettings  # noqa: PLC0415 - with the app

    return HttpSettings(
        api_keys=options.api_key,
        cors_origins=options.cors_origin,
        body_limit=options.body_limit,
        drain_s=options.drain_seconds,
        version=__version__,
        max_inputs=options.max_client_batch_size or MAX_INPUTS,
        auto_truncate=options.auto_truncate,
        tei_compat=options.tei_compat,
        max_concurrent_requests=options.max_concurrent_requests,
    )


def _bind_grpc(options: ServeOptions, doors: ExitStack) -> socket.socket | None:
    """The port of gRPC, if there is to be one. Raises ConfigInvalid, or ExtraMissing where the packages are missing."""
    if options.grpc_port is None:
        return None
    from textmill.grpc.extra import need_grpc  # noqa: PLC0415 - imports grpc

    need_grpc()
    return doors.enter_context(bind(options.host, options.grpc_port, flag="--grpc-port"))


def _grpc(
    options: ServeOptions, door: socket.socket, store: Store, telemetry: Telemetry, permits: Permits
) -> GrpcServer:
    from textmill.grpc.server import GrpcServer  # noqa: PLC0415 - not everyone has grpc
    from textmill.grpc.service import Service  # noqa: PLC0415
    from textmill.grpc.settings import GrpcSettings  # noqa: PLC0415
    from textmill.http.keys import Keys  # noqa: PLC0415

    http = _settings(options)
    settings = GrpcSettings(
        version=__version__,
        message_limit=options.body_limit,
        max_inputs=http.max_inputs,
        max_concurrent_requests=options.max_concurrent_requests,
    )
    service = Service(store, settings, telemetry, permits, Keys(http.api_keys).admits)
    return GrpcServer(service, address_of(door))


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
