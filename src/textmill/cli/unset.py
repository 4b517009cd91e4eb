"""Models on servers elsewhere whose address or key the environment does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from textmill.config import provider_key
from textmill.errors import ConfigInvalid
from textmill.folder.model import Folder
from textmill.folder.remote_options import remote_of
from textmill.providers.remote_settings import key_of, placed


def unset_in(folder: Folder) -> Mapping[str, str]:
    """What is missing, by the names of the models that could be served otherwise; no sentence has a key."""
    return dict(_unset(folder))


def _unset(folder: Folder) -> Iterator[tuple[str, str]]:
    for file in folder.files:
        able = file.external is None and file.refusal is None and file.listed and not file.disabled
        if file.engine != "remote" or not able:
            continue
        try:
            key_of(placed(remote_of(file.backend, file.backend_options), provider_key), provider_key)
        except ConfigInvalid as error:
            yield file.name, str(error)
