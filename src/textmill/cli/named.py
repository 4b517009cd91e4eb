"""A model that reads texts, opened for one command: by its name in the models folder, local or on a server elsewhere, or as `textmill.load` finds it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from textmill.cli.expecting import warn_of_unchecked
from textmill.cli.flags import flags
from textmill.cli.galleries import config_files, models_folder, open_gallery
from textmill.cli.logs import start_logging
from textmill.config import (
    GALLERY_OPTIONS,
    ModelOptions,
    ServeOptions,
    available_threads,
    command_options,
    prepare_process,
)
from textmill.config.option import options_of
from textmill.errors import ModelBroken

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.store.served import Served

A = TypeVar("A")
Command = TypeVar("Command", bound=Callable[..., Any])

_log = logging.getLogger(__name__)

_OWN = tuple(option.name for option in options_of(ModelOptions))
_NOT_HERE = ("remote", "python")
"""Engines to which the options of `textmill.load` mean nothing, but those of `_OF_ALL`."""
_OF_ALL = ("expect_fingerprint", "offline", "token", "cache_dir")
_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready, and the event loop that it is used in, which runs in a thread of its own."""

    model: Served
    loop: asyncio.AbstractEventLoop

    def run(self, call: Coroutine[Any, Any, A]) -> A:
        """What a call gives; blocks. For any thread but the loop's."""
        return asyncio.run_coroutine_threadsafe(call, self.loop).result()


def named_flags(command: Command) -> Command:
    """Give a command the flags of a model's options, and those that say where the models folder is."""
    return flags(ServeOptions, only=(*_OWN, *GALLERY_OPTIONS))(command)


@contextmanager
def opened(model: str, given: dict[str, Any]) -> Iterator[Opened]:
    """The model that MODEL and the flags of `named_flags` mean, for the time of the block.

    A name of the models folder comes first, unless MODEL is spelt as a path; flags come before what its file says. Raises what loading
    raises, and ModelBroken for one whose file says that it cannot be run.
    """
    options = command_options(ServeOptions, given)
    start_logging("info", "text")
    prepare_process(options.threads or available_threads())
    with ExitStack() as undo:
        loop = undo.enter_context(_loop())  # connections of the model are closed in it
        file, aliases = _in_folder(model, options)
        served = _plain(model, options) if file is None else _of_file(file, aliases, options, given, undo)
        undo.callback(served.close, 0)
        warn_of_unchecked(options.expect_fingerprint, served, aliases)
        yield Opened(served, loop)


def _plain(model: str, options: ServeOptions) -> Served:
    from textmill.store.load import load_model  # noqa: PLC0415 - after the process has been prepared

    return load_model(model, options.for_model())


def _in_folder(model: str, options: ServeOptions) -> tuple[ModelFile | None, tuple[str, ...]]:
    """The model file of that name, None where there is none, and its other names. Raises ModelBroken for one that cannot be run."""
    if model.startswith((".", "/", "~")):
        return None, ()
    if not config_files(options) and not Path(options.models_path).is_dir():
        return None, ()
    folder = models_folder(options)
    file = folder.find(model)
    if file is None:
        if problems := folder.broken(model):
            raise ModelBroken(str(problems[0]))
        return None, ()
    why = "its file says disabled" if file.disabled else file.refusal
    if why is not None:
        msg = f"{file.name} cannot be run: {why}"
        raise ModelBroken(msg)
    for problem in folder.problems:
        if problem.model == file.name:  # a warning, such as of an option that is misspelt
            _log.warning("%s", problem)
    return file, tuple(alias.name for alias in folder.aliases if alias.target == file.name)


def _of_file(
    file: ModelFile, aliases: Collection[str], options: ServeOptions, given: dict[str, Any], undo: ExitStack
) -> Served:
    from textmill.cli.downloads import shown  # noqa: PLC0415 - imports the gallery
    from textmill.cli.loading import load_one  # noqa: PLC0415
    from textmill.store.fetching import Fetching  # noqa: PLC0415 - with the models

    if file.engine in _NOT_HERE:
        for name in _OWN:
            if name not in _OF_ALL and given.get(name) not in (None, ()):
                _log.warning(
                    "--%s has no effect on %s, whose engine is %s", name.replace("_", "-"), file.name, file.engine
                )
    said = {name: value for name, value in file.options.items() if given.get(name) in (None, ())}
    gallery = open_gallery(options)
    undo.callback(gallery.close)
    with shown() as report:
        fetching = Fetching(gallery, report)
        fetching.fetch(file)
    return load_one(replace(file, options=MappingProxyType(said)), options, fetching, aliases)


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread; calls that are under way at the end, as after Ctrl-C, are cancelled."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="textmill-calls", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel(), loop).result(_END_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_END_S)
        loop.close()


async def _cancel() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # sockets are closed in the next round
