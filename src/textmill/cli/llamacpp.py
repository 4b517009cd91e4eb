"""The models that llama.cpp runs, as the server's options have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textmill.config import ServeOptions, available_threads, child_environment
from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.providers.llamacpp.options import Given
    from textmill.providers.usual import Usual
    from textmill.store.served import Served


def load_gguf(file: ModelFile, options: ServeOptions, usual: Usual) -> Served:
    """The model of a GGUF file, which answers as ``usual`` says; raises what `textmill.providers.llamacpp.opening.open_llama` does."""
    from textmill.providers.llamacpp.opening import open_llama  # noqa: PLC0415 - with the models

    model = open_llama(file, Path(options.models_path).absolute(), given(options), child_environment())
    model.usual = usual
    return model


def gguf_need(file: ModelFile, options: ServeOptions, weights: int) -> int:
    """The bytes of memory that it takes, beside so many of its weights; 0 where its file has an error that its load will tell."""
    from textmill.providers.llamacpp.memory import need_of  # noqa: PLC0415 - with the models
    from textmill.providers.llamacpp.options import wanted  # noqa: PLC0415

    try:
        asked = wanted(file, Path(options.models_path).absolute(), given(options))
    except ConfigInvalid:
        return 0
    return need_of(file, asked.launch.settings, weights)


def given(options: ServeOptions) -> Given:
    """What the options say where a model file does not."""
    from textmill.providers.llamacpp.options import Given  # noqa: PLC0415 - with the models

    return Given(
        threads=options.threads or available_threads(),
        parallel=options.llamacpp_parallel or 0,
        workers=options.llamacpp_grpc_servers or "",
    )
