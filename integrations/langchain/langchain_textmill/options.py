"""``model_kwargs`` of the classes as options of `textmill.load`, and models with them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import textmill
from textmill.compat import Organisation, full_name, load_nearest, sentence_transformers_home
from textmill.compat import load_options as read


def held(name: str, organisation: Organisation, options: Mapping[str, Any]) -> textmill.Model:
    """A hold of the model with these options. Raises what `textmill.shared` raises."""
    whole = full_name(name, organisation)
    return load_nearest(lambda chosen: textmill.shared(whole, **chosen), options)


def load_options(keywords: Mapping[str, Any], cache_folder: str | None, caller: str) -> dict[str, Any]:
    """Options of `textmill.load` by name. Whoever makes a ``caller`` is warned of what is not as it was asked."""
    options, remarks = read({"cache_folder": cache_folder or sentence_transformers_home(), **keywords}, caller)
    for remark in remarks:
        warnings.warn(remark, UserWarning, stacklevel=3)
    return options
