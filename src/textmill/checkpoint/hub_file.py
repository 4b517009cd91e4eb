"""One file of a repository on the Hugging Face hub, such as a GGUF file, with its other parts where it is one of several."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from textmill.checkpoint.cache import snapshot_of
from textmill.checkpoint.download import TIMEOUT, Access, explained, failures
from textmill.errors import ModelNotFound

_PART = re.compile(r"-\d{5}(?=-of-\d{5}\.gguf$)", re.IGNORECASE)


def hub_file(repo: str, file: str, revision: str | None, access: Access) -> Path:
    """The file in the hub's cache, fetched if need be; blocks.

    Raises ModelNotFound where it is neither in the cache nor on the hub, with what to do.
    """
    from huggingface_hub import HfApi, constants, snapshot_download  # noqa: PLC0415 - takes 0.2 s

    hint = f"Run `hf download {repo} {file}` where there is a network, or put the file into the models folder."
    cached = snapshot_of(repo, revision, access.cache_dir)
    if cached is not None and (cached / file).is_file():
        return cached / file
    if access.offline or constants.HF_HUB_OFFLINE:
        msg = f"{file} of {repo} is not in the cache and textmill is offline. {hint}"
        raise ModelNotFound(msg)
    try:
        HfApi(endpoint=access.endpoint, token=access.token).model_info(repo, revision=revision, timeout=TIMEOUT)
        found = snapshot_download(
            repo,
            revision=revision,
            cache_dir=access.cache_dir,
            token=access.token,
            endpoint=access.endpoint,
            etag_timeout=TIMEOUT,
            allow_patterns=[_PART.sub("-[0-9][0-9][0-9][0-9][0-9]", glob.escape(file))],
            tqdm_class=access.bar,
        )
    except failures() as error:
        raise explained(error, repo, revision, hint) from error
    path = Path(found) / file
    if not path.is_file():
        msg = f"{repo} has no file {file}; its page on the hub lists those that it has"
        raise ModelNotFound(msg)
    return path
