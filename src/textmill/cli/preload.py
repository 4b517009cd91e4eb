"""Models that are installed before a server answers: those of --preload that the models folder does not have yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from textmill.errors import ConfigInvalid, InvalidInput, TextmillError

if TYPE_CHECKING:
    from textmill.gallery.gallery import Gallery
    from textmill.gallery.wish import Wish

_log = logging.getLogger("textmill")


def preload(given: Sequence[str], gallery: Gallery) -> None:
    """Install what is missing, one after the other; blocks. What cannot be installed is an error in the log and stops nothing.

    Raises ConfigInvalid, before anything is installed, for an entry that names no model.
    """
    wishes = [wish_of(text, number) for number, text in enumerate(given, 1)]
    if not wishes:
        return
    from textmill.gallery.logged import Logged  # noqa: PLC0415 - few servers install models

    report = Logged(_log)
    for wish in wishes:
        if _is_there(wish, gallery):
            _log.info("%s is installed", wish.title)
            continue
        _log.info("installing %s", wish.title)
        try:
            gallery.carry_out(wish, report)
        except TextmillError as error:
            _log.error("%s could not be installed, and is left out: %s", wish.title, error)
        else:
            _log.info("%s has been installed", wish.title)


def wish_of(text: str, number: int) -> Wish:
    """The model that an entry of --preload names: a name in a gallery, an address, or a JSON object, in which null is as good as absent.

    Raises ConfigInvalid, which names the entry by its ``number``, since what is in it may be secret.
    """
    from textmill.gallery.wish import Wish  # noqa: PLC0415 - few servers install models

    if not text.lstrip().startswith("{"):
        address = ":" in text or (text.count("/") == 1 and "@" not in text)
        return Wish(uri=text) if address else Wish(id=text)
    try:
        found = msgspec.convert(_without_nulls(msgspec.json.decode(text, type=dict[str, Any])), Wish).checked()
    except (msgspec.DecodeError, InvalidInput) as error:
        msg = f"entry {number} of --preload: {str(error).replace('`', '')}"
        raise ConfigInvalid(msg) from None
    if found.delete:
        msg = f"entry {number} of --preload: it installs models and deletes none"
        raise ConfigInvalid(msg)
    return found


def _without_nulls(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry without fields of null, its files too; ``overrides`` are the model file's and stay as they are."""
    given = {key: value for key, value in entry.items() if value is not None}
    if isinstance(files := given.get("files"), list):
        given["files"] = [_without_nulls(file) if isinstance(file, Mapping) else file for file in files]
    return given


def _is_there(wish: Wish, gallery: Gallery) -> bool:
    """Whether a model file of its name is there, so that a start needs no network."""
    from textmill.gallery.paths import safe_model  # noqa: PLC0415 - as above

    name = wish.name or wish.id.rpartition("@")[2] or wish.uri.removeprefix("huggingface://").removeprefix("hf://")
    try:
        return bool(name) and (gallery.folder / f"{safe_model(name)}.yaml").exists()
    except InvalidInput:
        return False
