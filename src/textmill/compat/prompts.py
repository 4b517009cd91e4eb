"""What stands in front of texts, said in the log once for each model and side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from textmill.contract import Kind
from textmill.store.model import Model

_told: set[tuple[str, str, Kind, str]] = set()
_lock = threading.Lock()


def log_prompt(log: logging.Logger, model: Model, side: Kind, asked: Mapping[str, Any]) -> None:
    """Log at INFO what stands in front of the texts of a side, once in a process for each model and prompt.

    ``asked`` are the keywords of `textmill.Model.embed` that these texts are embedded with: a ``prompt`` or ``prompt_name``, or a
    ``kind``, or none of them for the model's default prompt.
    """
    text = _prompt(model, asked)
    entry = (log.name, model.info.name, side, text)
    with _lock:
        if entry in _told or not log.isEnabledFor(logging.INFO):
            return
        _told.add(entry)
    log.info("%s: before each %s stands %s", model.info.name, side, text)


def _prompt(model: Model, asked: Mapping[str, Any]) -> str:
    if asked.get("prompt") is not None:
        return repr(asked["prompt"])
    if asked.get("prompt_name") is not None:
        return f"the model's prompt {asked['prompt_name']!r}"
    return repr(model.prompt(asked.get("kind")))
