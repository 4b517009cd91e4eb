"""ONNX Runtime, float32: batches of 8 as the texts come (so TEI does on CPU), or of 32 sorted by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.closed_loop import Load, Run, in_threads
from bench.contenders import CannotRun, Vectors, library
from bench.messages import Settings

SIDE_BY_SIDE = 16


class OnnxRuntimeBatches:
    """A session over the exported graph; padding goes to the longest of a batch, pooling is numpy."""

    def __init__(self, settings: Settings, batch: int, *, by_length: bool) -> None:
        if settings.onnx is None:
            message = "the ONNX graph could not be exported (see the line about the export above)."
            raise CannotRun(message)
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = len(settings.cores)
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = runtime.InferenceSession(
            f"{settings.onnx}/model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = library("tokenizers").Tokenizer.from_file(f"{settings.onnx}/tokenizer.json")
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(settings.length_limit)
        self.batch = batch
        self.by_length = by_length
        self.note = f"float32, batch {batch}, {'sorted by length' if by_length else 'as the texts come'}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one call."""
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i])) if self.by_length else list(range(len(rows)))
        parts = [
            self._forward([rows[i] for i in order[start : start + self.batch]])
            for start in range(0, len(order), self.batch)
        ]
        vectors = np.empty((len(rows), parts[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(parts)
        return vectors

    def _forward(self, rows: list[list[int]]) -> Vectors:
        lengths = np.array([len(row) for row in rows])
        valid = np.arange(lengths.max()) < lengths[:, None]
        ids: NDArray[np.int64] = np.zeros(valid.shape, dtype=np.int64)
        ids[valid] = np.concatenate(rows)
        inputs = {"input_ids": ids, "attention_mask": valid.astype(np.int64), "token_type_ids": np.zeros_like(ids)}
        states = self.session.run(None, inputs)[0]
        weights = (valid / lengths[:, None]).astype(np.float32)
        pooled: Vectors = np.matmul(weights[:, None, :], states)[:, 0]
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return pooled

    def answer(self, load: Load) -> Run:
        """Many calls side by side: that was faster than taking turns."""
        return in_threads(self.embed, load, at_once=SIDE_BY_SIDE)

    def close(self) -> None:
        """Nothing outlives the process."""


def load(settings: Settings, *, batch: int, by_length: bool) -> OnnxRuntimeBatches:
    """Open the exported graph."""
    return OnnxRuntimeBatches(settings, batch, by_length=by_length)
