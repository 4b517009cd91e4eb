"""FastEmbed over the same exported graph, registered as a custom model in a local folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.closed_loop import Load, Run, in_threads
from bench.contenders import CannotRun, Vectors, library
from bench.messages import Settings

NAME = "local/bench-model"
SIDE_BY_SIDE = 16


class FastEmbedLocal:
    """FastEmbed's own tokenising, batching, pooling and normalising.

    It does not sort by length, so that its default batch of 256 is mostly padding on mixed lengths. Of 8, 16, 32 and 256
    the smallest was the fastest on CPU, and that is what it gets.
    """

    def __init__(self, settings: Settings, batch: int) -> None:
        if settings.onnx is None:
            message = "the ONNX graph could not be exported (see the line about the export above)."
            raise CannotRun(message)
        fastembed = library("fastembed")
        description = library("fastembed.common.model_description")
        fastembed.TextEmbedding.add_custom_model(
            model=NAME,
            pooling=description.PoolingType.MEAN,
            normalization=True,
            sources=description.ModelSource(hf=NAME),
            dim=384,
            model_file="model.onnx",
        )
        self.model = fastembed.TextEmbedding(
            NAME,
            specific_model_path=settings.onnx,
            threads=len(settings.cores),
            providers=["CPUExecutionProvider"],
        )
        self.batch = batch
        self.note = f"float32, batch {batch}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one call."""
        return np.array(list(self.model.embed(list(texts), batch_size=self.batch)), dtype=np.float32)

    def answer(self, load: Load) -> Run:
        """Many calls side by side: that was faster than taking turns."""
        return in_threads(self.embed, load, at_once=SIDE_BY_SIDE)

    def close(self) -> None:
        """Nothing outlives the process."""


def load(settings: Settings, *, batch: int = 8) -> FastEmbedLocal:
    """Open the exported graph from its folder, no network needed."""
    return FastEmbedLocal(settings, batch)
