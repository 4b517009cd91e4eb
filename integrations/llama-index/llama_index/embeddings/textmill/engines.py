"""Loaded models as a class of LlamaIndex's asks for them: shared with all others in the process, and the nearest where one is not to be had."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from llama_index.embeddings.textmill.arguments import Meaning

import textmill
from textmill.compat import Organisation, full_name

_log = logging.getLogger(__name__)


def held(name: str, options: Mapping[str, Any], token: str | None = None) -> textmill.Model:
    """A hold of the model with these keywords of `textmill.shared`, which ends when it is dropped. Raises what that raises."""
    return textmill.shared(name, **options, **({} if token is None else {"token": token}))


def opened(name: str, meant: Meaning, token: str | None, organisation: Organisation) -> textmill.Model:
    """A hold of the model that is meant; where the file or the precision is not to be had, of the nearest, with a warning.

    A name without an owner is one of the ``organisation``'s, as sentence-transformers has it. Raises what `textmill.shared` raises.
    """
    name = full_name(name, organisation)
    try:
        return held(name, meant.options, token)
    except (textmill.ModelBroken, textmill.ModelNotFound, textmill.DownloadFailed, textmill.ConfigInvalid) as error:
        if meant.otherwise is None:
            raise
        model = held(name, meant.otherwise, token)
        _log.warning("%s: %s. The model's own weights are run instead, in %s.", name, error, model.info.dtype)
        return model
