"""tiktoken's cache of vocabularies, where tiktoken itself looks for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from textmill.config.sources import Environ, environ_or

_VARIABLES = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")


def tiktoken_cache(environ: Environ | None = None) -> Path:
    """The folder that TIKTOKEN_CACHE_DIR or DATA_GYM_CACHE_DIR names, else one in the system's folder for temporary files.

    An empty variable switches tiktoken's cache off; here it means that folder too.
    """
    environ = environ_or(environ)
    named = next((environ[name] for name in _VARIABLES if name in environ), "")
    return Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"
