"""The field ``backend`` of LocalAI's requests: it may say what runs the model, and cannot choose something else."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from textmill.contract import ModelInfo
from textmill.errors import InvalidInput
from textmill.folder.backends import Backend, find_backend

BackendName = Annotated[
    str | None,
    Meta(description="What runs the model, by a name that model files may have; another than its own is refused."),
]


def check_backend(name: str | None, info: ModelInfo) -> None:
    """Raise InvalidInput where a request wants something else than what runs the model; an empty name wants nothing."""
    if not name or name.strip().lower() == info.runtime:
        return
    found = find_backend(name)
    usual = found.name if isinstance(found, Backend) else name
    ours = isinstance(found, Backend) and found.engine == "ours" and found.runtime in ("", info.runtime)
    if ours or usual == info.runtime:
        return
    hint = f"; did you mean {found.nearest}?" if not isinstance(found, Backend) and found.nearest else ""
    msg = f"backend is {name!r}, but {info.name} runs on {info.runtime}, and a request cannot change that{hint}; leave it out"
    raise InvalidInput(msg, param="backend")
