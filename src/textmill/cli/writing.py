"""A model that writes, opened for one command: from the models folder, from a path, from the hub's cache, or at a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from textmill.cli.flags import flags
from textmill.cli.galleries import models_folder, open_gallery
from textmill.cli.logs import start_logging
from textmill.cli.progress import waiting
from textmill.config import (
    GALLERY_OPTIONS,
    ServeOptions,
    available_threads,
    command_options,
    prepare_process,
    server_key,
)
from textmill.contract import Chat, Complete, Task
from textmill.errors import ConfigInvalid, ModelBroken, ModelNotFound, WrongTask

if TYPE_CHECKING:
    from textmill.folder.model import Folder, ModelFile

Command = TypeVar("Command", bound=Callable[..., Any])

_CAPABILITIES = {"chat": "chat", "complete": "completion"}
_AT_A_SERVER = 4
"""Prompts that a server is asked at once."""


class Writes(Chat, Complete, Protocol):
    """A model that writes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is ready, the loop that it is used in, and how many requests it computes together."""

    name: str
    model: Writes
    runner: asyncio.Runner
    together: int


def model_flags(command: Command) -> Command:
    """Give a command the flags that say where its model is."""
    for add in (flags(ServeOptions, only=(*GALLERY_OPTIONS, "revision", "device", "threads")), _CONTEXT, _KEY, _URL):
        command = add(command)
    return command


_URL = click.option(
    "--url",
    metavar="URL",
    help="A running server of OpenAI's protocol, such as http://127.0.0.1:8080, whose MODEL it is.",
)
_KEY = click.option(
    "--api-key",
    "key",
    metavar="KEY",
    help="Key for that server; by default TEXTMILL_API_KEY, or of OpenAI and Mistral OPENAI_API_KEY and MISTRAL_API_KEY.",
)
_CONTEXT = click.option(
    "--context-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tokens of the conversation or text at most, in place of what the model's file says.",
)


@contextmanager
def opened(model: str, task: Task, given: dict[str, Any]) -> Iterator[Opened]:
    """The model that MODEL and the flags of `model_flags` mean, for the time of the block; it is closed before its loop is.

    Raises ModelNotFound, ModelBroken, WrongTask, ConfigInvalid, ExtraMissing and DownloadFailed.
    """
    url, key, context = (given.pop(name) for name in ("url", "key", "context_size"))
    options = command_options(ServeOptions, given)
    start_logging("warning", "text")
    with ExitStack() as undo:
        runner = undo.enter_context(asyncio.Runner())
        if url is not None:
            yield _remote(model, url, key, runner, undo)
            return
        prepare_process(options.threads or available_threads())
        yield _local(model, task, options, context, runner, undo)


def _remote(model: str, url: str, key: str | None, runner: asyncio.Runner, undo: ExitStack) -> Opened:
    from textmill.providers.openai_speech import COMPATIBLE, MISTRAL, OPENAI  # noqa: PLC0415 - with a server
    from textmill.providers.openai_wire import Target, Wire  # noqa: PLC0415
    from textmill.providers.openai_writer import Writer  # noqa: PLC0415

    base, host = _base(url)
    found, setting = server_key(host) if key is None else (key, "--api-key")
    wire = Wire(Target(base_url=base, key=found, key_setting=setting, idle=0))
    undo.callback(wire.close_soon)
    speech = {"api.openai.com": OPENAI, "api.mistral.ai": MISTRAL}.get(host, COMPATIBLE)
    return Opened(model, Writer(wire, speech, model), runner, _AT_A_SERVER)


def _base(url: str) -> tuple[str, str]:
    """The address in front of the routes, with OpenAI's /v1 where it has no path, and its host. Raises ConfigInvalid."""
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        host = (parts.hostname or "").lower()
    except ValueError:
        msg = "--url is no address such as http://127.0.0.1:8080"
        raise ConfigInvalid(msg) from None
    return (whole if parts.path.strip("/") else f"{whole.rstrip('/')}/v1"), host


def _local(
    model: str, task: Task, options: ServeOptions, context: int | None, runner: asyncio.Runner, undo: ExitStack
) -> Opened:
    from textmill.cli.downloads import shown  # noqa: PLC0415 - imports the gallery
    from textmill.cli.loading import load_one  # noqa: PLC0415
    from textmill.store.fetching import Fetching  # noqa: PLC0415 - with the models

    file, options = _found(model, options)
    _expect(file, task)
    gallery = open_gallery(options)
    undo.callback(gallery.close)
    with shown() as report:
        fetching = Fetching(gallery, report)
        if fetching.fetch(file):
            file = _fit(models_folder(options).by_name.get(file.name, file))  # what its weights are is known only now
    if context is not None:
        file = _with_context(file, context)
    with waiting(f"loading {file.name}"):
        served = load_one(file, options, fetching)
    undo.callback(served.close, 0.0)
    if task not in served.info.tasks:
        raise _cannot(file.name, task, served.info.tasks)
    return Opened(file.name, served, runner, max(1, served.info.batch_rows))


def _found(model: str, options: ServeOptions) -> tuple[ModelFile, ServeOptions]:
    """The model file that a name or a path means, and the options with the folder that its own files are in."""
    from textmill.folder.loose import hub_model, model_at  # noqa: PLC0415 - reads YAML

    spelled = model.startswith((".", "/", "~"))
    folder = models_folder(options)
    if not spelled:
        if (file := folder.find(model)) is not None:
            return _fit(file), options
        if problems := folder.broken(model):
            raise ModelBroken(str(problems[0]))
    path = Path(model).expanduser()
    if path.exists():
        return _fit(model_at(path)), msgspec.structs.replace(options, models_path=str(path.absolute().parent))
    hub = None if spelled or model.endswith(".gguf") else hub_model(model)
    if hub is not None and hub.engine != "gguf":
        return _fit(hub), options
    raise ModelNotFound(_unknown(model, folder, spelled=spelled))


def _fit(file: ModelFile) -> ModelFile:
    """The file, unless it says that its model cannot be run."""
    why = "its file says disabled" if file.disabled else file.refusal
    if why is not None:
        msg = f"{file.name} cannot be run: {why}"
        raise ModelBroken(msg)
    return file


def _expect(file: ModelFile, task: Task) -> None:
    """Refuse a model that is known to do other things before it is loaded."""
    if file.capabilities and _CAPABILITIES[task] not in file.capabilities:
        raise _cannot(file.name, task, file.capabilities)


def _cannot(name: str, task: str, can: tuple[str, ...]) -> WrongTask:
    return WrongTask(f"{name} cannot {task}; it can do {', '.join(can) or 'nothing'}")


def _with_context(file: ModelFile, context: int) -> ModelFile:
    fields = msgspec.structs.replace(file.fields, context_size=context)
    return replace(file, fields=fields, options={**file.options, "max_input_length": context})


def _unknown(model: str, folder: Folder, *, spelled: bool) -> str:
    if spelled:
        return f"there is no file or folder {model}"
    near = folder.near(model)
    hint = (
        f"did you mean {near}?" if near else "`textmill models list` has those there are, `textmill pull` gets others"
    )
    return f"{folder.path} has no model {model!r}, and there is no such file; {hint}"
