"""Loaded models as a class of LlamaIndex's asks for them: shared with all others in the process, and the nearest where one is not to be had."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from llama_index.embeddings.textmill.arguments import Meaning

import textmill

_log = logging.getLogger(__name__)

_BARE = re.compile(r"\w[\w.-]*")
"""Names of the hub without their owner."""


def held(name: str, options: Mapping[str, Any], token: str | None = None) -> textmill.Model:
    """A hold of the model with these keywords of `textmill.shared`, which ends when it is dropped. Raises what that raises."""
    return textmill.shared(name, **options, **({} if token is None else {"token": token}))


def opened(name: str, meant: Meaning, token: str | None = None, owner: str = "") -> textmill.Model:
    """A hold of the model that is meant; where the file or the precision is not to be had, of the nearest, with a warning.

    A name that means nothing by itself is one of the ``owner``'s on the hub, where there is an owner.
    """
    try:
        return _nearest(name, meant, token)
    except textmill.ModelNotFound:
        if not owner or not _BARE.fullmatch(name):
            raise
    return _nearest(f"{owner}/{name}", meant, token)


def _nearest(name: str, meant: Meaning, token: str | None) -> textmill.Model:
    try:
        return held(name, meant.options, token)
    except (textmill.ModelBroken, textmill.ModelNotFound, textmill.DownloadFailed, textmill.ConfigInvalid) as error:
        if meant.otherwise is None:
            raise
        model = held(name, meant.otherwise, token)
        _log.warning("%s: %s. The model's own weights are run instead, in %s.", name, error, model.info.dtype)
        return model
