"""What reads the token ids of requests for embeddings, as the options have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textmill.cli.galleries import access_of
from textmill.config import ServeOptions, state_folder, tiktoken_cache
from textmill.errors import ConfigInvalid, DownloadFailed, InvalidInput, ModelBroken, ModelNotFound

if TYPE_CHECKING:
    from textmill.checkpoint.cl100k import ForeignVocabulary
    from textmill.gallery.access import Access

_ADVICE = (
    "put it there, by TIKTOKEN_CACHE_DIR={folder} python -c \"import tiktoken; tiktoken.get_encoding('cl100k_base')\" where there is a network, "
    "or start without --token-input cl100k"
)
_STALL_S = 15.0
_ATTEMPTS = 2


def open_token_input(options: ServeOptions) -> ForeignVocabulary | None:
    """OpenAI's vocabulary where ids are to be read by it, out of tiktoken's cache, or fetched into it; None where ids are the model's own.

    Raises ExtraMissing, and ConfigInvalid where the vocabulary can be had from neither.
    """
    if options.token_input == "model":  # noqa: S105 - no password
        return None
    from textmill.checkpoint.cl100k import is_cached, need_tiktoken, open_vocabulary  # noqa: PLC0415 - few servers read such ids

    need_tiktoken()
    folder = tiktoken_cache()
    if not is_cached(folder):
        _fetch(options, folder)
    return open_vocabulary(folder)


def _fetch(options: ServeOptions, folder: Path) -> None:
    """Fetch the vocabulary into tiktoken's cache. Raises ConfigInvalid, soon, where that cannot be done."""
    from textmill.checkpoint.cl100k import CL100K  # noqa: PLC0415 - as above
    from textmill.gallery.download import Order, download  # noqa: PLC0415 - as above
    from textmill.gallery.web import Web  # noqa: PLC0415 - as above

    target = folder / CL100K.key
    missing = f"--token-input cl100k needs the vocabulary {CL100K.name}, which is not in tiktoken's cache as {target}"
    advice = _ADVICE.format(folder=folder)
    if options.offline:
        msg = f"{missing}, and textmill is offline; {advice}"
        raise ConfigInvalid(msg)
    order = Order(
        url=CL100K.url, origin=CL100K.url, target=target, state=state_folder(), sha256=CL100K.sha256, replace=True
    )
    try:
        download(order, Web(_hasty(access_of(options))))
    except (DownloadFailed, InvalidInput, ModelBroken, ModelNotFound) as error:
        msg = f"{missing}, and cannot be fetched: {error}; {advice}"
        raise ConfigInvalid(msg) from error


def _hasty(access: Access) -> Access:
    """The same way to the network, given up soon: a server is to say what is missing, not to wait for it."""
    return replace(access, patience=replace(access.patience, stall=_STALL_S, attempts=_ATTEMPTS))
