"""sentence-transformers on torch, float32: its own sorting by length, its default batch of 32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.closed_loop import Load, Run, in_threads
from bench.contenders import CannotRun, Vectors, library
from bench.messages import Settings


class SentenceTransformersTorch:
    """The reference: what most people run today."""

    note = "float32, batch 32, sorted by its own encode()"

    def __init__(self, settings: Settings) -> None:
        torch = library("torch")
        torch.set_num_threads(len(settings.cores))
        self.model = library("sentence_transformers").SentenceTransformer(settings.folder, device="cpu")
        kinds = {parameter.dtype for parameter in self.model.parameters()}
        if kinds != {torch.float32}:
            message = f"sentence-transformers loaded {kinds} where float32 was wanted."
            raise CannotRun(message)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one call."""
        return np.asarray(self.model.encode(list(texts), batch_size=32, show_progress_bar=False), dtype=np.float32)

    def answer(self, load: Load) -> Run:
        """Two calls side by side: more were not faster."""
        return in_threads(self.embed, load, at_once=2)

    def close(self) -> None:
        """Nothing outlives the process."""


def load(settings: Settings) -> SentenceTransformersTorch:
    """Load the checkpoint's folder, no network needed."""
    return SentenceTransformersTorch(settings)
