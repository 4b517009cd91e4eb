"""Models that servers of OpenAI's protocol run: those elsewhere, and vLLM, which is started for its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textmill.config import provider_key

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.providers.usual import Usual
    from textmill.store.served import Served

ENGINES = ("remote", "vllm")
"""The engines of model files that are for this; their models' weights are not in this process."""


def load_served(file: ModelFile, usual: Usual) -> Served:
    """The model of a file of one of those engines, which answers as ``usual`` says. Raises what `textmill.providers.remote.open_remote` does."""
    from textmill.providers.remote import open_remote  # noqa: PLC0415 - with the model

    model = open_remote(file, provider_key)
    model.usual = usual
    return model
