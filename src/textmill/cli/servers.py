"""Models that servers of OpenAI's protocol run: those elsewhere, and vLLM, which is started for its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textmill.config import ServeOptions, child_environment, provider_key, proxy_for

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.providers.usual import Usual
    from textmill.store.served import Served

ENGINES = ("remote", "vllm")
"""The engines of model files that are for this; their models' weights are not in this process."""


def load_served(file: ModelFile, options: ServeOptions, usual: Usual) -> Served:
    """The model of a file of one of those engines, which answers as ``usual`` says; blocks.

    Raises what `textmill.providers.remote.open_remote` and `textmill.providers.vllm.open_vllm` do.
    """
    if file.engine == "vllm":
        from textmill.providers.vllm import open_vllm  # noqa: PLC0415 - with the model

        started = open_vllm(file, Path(options.models_path).absolute(), child_environment(), offline=options.offline)
        started.usual = usual
        return started
    from textmill.providers.remote import open_remote  # noqa: PLC0415 - with the model

    model = open_remote(file, provider_key, proxy_for)
    model.usual = usual
    return model
