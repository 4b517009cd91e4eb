"""``model_kwargs`` of the classes as options of `textmill.load`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from textmill.compat import load_options as read
from textmill.compat import sentence_transformers_home


def load_options(keywords: Mapping[str, Any], cache_folder: str | None, caller: str) -> dict[str, Any]:
    """Options of `textmill.load` by name. Whoever makes a ``caller`` is warned of what is not as it was asked."""
    options, remarks = read({"cache_folder": cache_folder or sentence_transformers_home(), **keywords}, caller)
    for remark in remarks:
        warnings.warn(remark, UserWarning, stacklevel=3)
    return options
