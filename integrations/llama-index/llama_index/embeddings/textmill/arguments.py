"""What the arguments of HuggingFaceEmbedding, and of SentenceTransformer below it, mean to textmill. Pure: nothing is loaded here."""

from __future__ import annotations

import os
import warnings
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from textmill.compat import load_options, nearest_dtype

_MOST_QUEUED = 1 << 31
"""Tokens: the texts are in the process's memory already, so that refusing some of them would spare nothing."""
_SECRETS = ("token", "use_auth_token")


@dataclass(frozen=True, slots=True)
class Meaning:
    """The keywords of `textmill.load`, those to go on with where a file or precision is not there, and what is not as it was asked."""

    options: dict[str, Any]
    otherwise: dict[str, Any] | None
    remarks: tuple[str, ...]


def without_secrets(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """Keywords that may be written down, with precisions, paths and choices as words, and the token for the hub that was among them.

    What is None is left out, as if it had not been said.
    """
    kept = {name: _plain(name, value) for name, value in (given or {}).items() if value is not None}
    secrets = [kept.pop(name) for name in _SECRETS if name in kept]
    return kept, next((secret for secret in secrets if isinstance(secret, str) and secret), None)


def known(given: Mapping[str, Any], fields: Container[str], caller: str, *, level: int) -> dict[str, Any]:
    """The keywords that are among the fields of the class ``caller``; of the others a warning says that they have no effect.

    Dumps have the name of their class in them, which is none of these.
    ``level`` is how many calls up the warning points, 1 being whoever calls this.
    """
    unknown = [name for name in given if name not in fields and name != "class_name"]
    if unknown:
        warnings.warn(f"{caller} has no use for {', '.join(unknown)}", stacklevel=level + 1)
    return {name: value for name, value in given.items() if name in fields}


def meaning(keywords: Mapping[str, Any], load_kwargs: Mapping[str, Any], caller: str) -> Meaning:
    """What keywords of sentence-transformers ask for, as keywords of `textmill.load`, which ``load_kwargs`` are already.

    Raises as `textmill.compat.load_options`.
    """
    own, remarks = load_options(keywords, caller, dtype="auto")
    options = {"max_queue_tokens": _MOST_QUEUED, **own, **load_kwargs}
    return Meaning(options, _otherwise(own, options), remarks)


def _otherwise(own: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The nearest to what sentence-transformers' keywords ask for: its own weights, in a precision that every CPU has."""
    if "file" in own:
        rest = {name: value for name, value in options.items() if name != "file"}
        return {**rest, "dtype": nearest_dtype(own["file"])}
    return {**options, "dtype": "auto"} if own.get("dtype") in ("float16", "bfloat16") else None


def device_name(device: Any) -> str | None:
    """A device by its name: PyTorch's own objects print as ``cuda:0``, a number is that of a GPU, and an empty one is none."""
    if isinstance(device, int) and not isinstance(device, bool):
        return f"cuda:{device}"
    return str(device) if device is not None and str(device) else None


def _plain(name: str, value: Any) -> Any:
    """A value as a word: torch's own precisions print as ``torch.float16``, sentence-transformers' measures are an enumeration."""
    if name in ("dtype", "torch_dtype"):
        return str(value).removeprefix("torch.")
    return os.fspath(value) if isinstance(value, os.PathLike) else value.value if isinstance(value, Enum) else value
