"""The models that llama.cpp runs, as the server's options have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textmill.config import ServeOptions, available_threads, child_environment
from textmill.errors import ConfigInvalid, ModelBroken, ModelNotFound
from textmill.folder.snapshot import parts_of

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.providers.llamacpp.options import Given
    from textmill.providers.usual import Usual
    from textmill.store.served import Served


def load_gguf(file: ModelFile, options: ServeOptions, usual: Usual, bar: type[Any] | None = None) -> Served:
    """The model of a GGUF file, which answers as ``usual`` says; raises what `textmill.providers.llamacpp.opening.open_llama` and `here` do."""
    from textmill.providers.llamacpp.opening import open_llama  # noqa: PLC0415 - with the models

    file = here(file, options, bar)
    model = open_llama(file, Path(options.models_path).absolute(), given(options), child_environment())
    model.usual = usual
    return model


def given_gguf(name: str, called: str | None) -> ModelFile | None:
    """The model file of a GGUF file that is given by its path, None for another name. Raises ModelBroken for one that is damaged."""
    from textmill.folder.loose import loose_models  # noqa: PLC0415 - with the models
    from textmill.folder.problem import Problem  # noqa: PLC0415

    path = Path(name).expanduser()
    if not name.lower().endswith(".gguf") or not path.is_file():
        return None
    real = path.resolve()  # the hub's cache has links
    for found in loose_models([real], real.parent, {}):
        if isinstance(found, Problem):
            msg = f"{name} {found.sentence}"
            raise ModelBroken(msg)
        return replace(found, name=called or path.name)
    msg = f"{name} is no model that textmill runs"
    raise ModelBroken(msg)


def here(file: ModelFile, options: ServeOptions, bar: type[Any] | None = None) -> ModelFile:
    """The model file with its weights on this machine: a file of the hub is fetched into the hub's cache, and then looked at; blocks.

    Raises ModelNotFound where it cannot be had, ModelBroken where it is none.
    """
    from textmill.checkpoint.download import Access  # noqa: PLC0415 - with the models
    from textmill.checkpoint.hub_file import hub_file  # noqa: PLC0415
    from textmill.folder.capabilities import capabilities  # noqa: PLC0415
    from textmill.folder.weights import look  # noqa: PLC0415

    place = file.location
    if place.path is not None or not place.repo:
        return file
    cache = Path(options.cache_dir) if options.cache_dir else None
    access = Access(options.token, options.offline, cache, bar=bar)
    path = hub_file(place.repo, place.file, place.revision or None, access)
    facts = look(path)
    can = capabilities(file.fields, None, facts, path.name)
    return replace(file, location=replace(place, path=path), facts=facts, capabilities=can)


def weigh_gguf(file: ModelFile, options: ServeOptions, bar: type[Any] | None = None) -> int:
    """The bytes of a GGUF file and its other parts, on this machine from now on."""
    path = here(file, options, bar).location.path
    return sum(part.stat().st_size for part in parts_of(path) if part.is_file()) if path is not None else 0


def gguf_need(file: ModelFile, options: ServeOptions, weights: int) -> int:
    """The bytes of memory that it takes, beside so many of its weights; 0 where its file has an error that its load will tell."""
    from textmill.providers.llamacpp.memory import need_of  # noqa: PLC0415 - with the models
    from textmill.providers.llamacpp.options import wanted  # noqa: PLC0415

    try:
        file = here(file, options) if file.location.path is None and weights else file
        asked = wanted(file, Path(options.models_path).absolute(), given(options))
    except (ConfigInvalid, ModelNotFound, ModelBroken):
        return 0
    beside = (asked.launch.settings.draft_model, *(path for path, _ in asked.launch.lora))
    more = sum(Path(path).stat().st_size for path in beside if path and Path(path).is_file())
    return need_of(file, asked.launch.settings, weights + more if weights else 0)


def given(options: ServeOptions) -> Given:
    """What the options say where a model file does not."""
    from textmill.providers.llamacpp.options import Given  # noqa: PLC0415 - with the models

    return Given(
        threads=options.threads or available_threads(),
        parallel=options.llamacpp_parallel or 0,
        workers=options.llamacpp_grpc_servers or "",
    )
