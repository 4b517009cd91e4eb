"""The contenders: one file a peer, all with the same three methods.

Adding one is a file with a ``load`` function and a line in ``CONTENDERS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.closed_loop import Load, Run
from bench.messages import Settings

Vectors = NDArray[np.float32]


class CannotRun(Exception):
    """A contender cannot run here; the message says why in one sentence."""


class Contender(Protocol):
    """A loaded model. Making one loads and warms it; that time is not compared."""

    note: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one call, tokenising included: float32 (n, d), in input order."""

    def answer(self, load: Load) -> Run:
        """Let the load's clients ask until its time is over."""

    def close(self) -> None:
        """Give back what was taken."""


CONTENDERS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "textmill-auto": ("textmill_library", {"dtype": "auto"}),
    "textmill-float32": ("textmill_library", {"dtype": "float32"}),
    "textmill-http": ("textmill_http", {}),
    "sentence-transformers": ("sentence_transformers_torch", {}),
    "onnxruntime-sorted": ("onnxruntime_batches", {"batch": 32, "by_length": True}),
    "onnxruntime-arrival": ("onnxruntime_batches", {"batch": 8, "by_length": False}),
    "fastembed": ("fastembed_local", {}),
}
"""Name to file and options. The order is that of tables and pictures."""

REFERENCE: Final = "sentence-transformers"
"""Whose float32 vectors are the truth for the cosine and the largest difference."""

LABELS: Final = {
    "textmill-auto": "textmill (auto)",
    "textmill-float32": "textmill (float32)",
    "textmill-http": "textmill over HTTP (auto)",
    "sentence-transformers": "sentence-transformers, torch",
    "onnxruntime-sorted": "ONNX Runtime, 32 sorted",
    "onnxruntime-arrival": "ONNX Runtime, 8 as they come",
    "fastembed": "FastEmbed",
}


def load(name: str, settings: Settings) -> Contender:
    """Load the contender of that name. Raises CannotRun with the reason where it cannot run here."""
    module, options = CONTENDERS[name]
    return cast("Contender", import_module(f"bench.contenders.{module}").load(settings, **options))


def library(name: str) -> Any:
    """Import a peer's library, or raise CannotRun with the command that installs it."""
    if find_spec(name) is None:
        message = f"{name} is not installed; run `pip install --group bench`."
        raise CannotRun(message)
    return import_module(name)
