"""The encoder's linear layers alone, on OpenVINO's own kernels: what a model on these cores could reach with all else free."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import textmill

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def products(tokens: int, shape: dict[str, int], dtype: str) -> Callable[[], float]:
    """A function that runs them one after another for a second, and says how many tokens a second they took."""
    import openvino as ov
    from openvino import opset13 as op

    hidden, wide = shape["hidden_size"], shape["intermediate_size"]
    rng = np.random.default_rng(1)
    given = op.parameter([tokens, hidden], ov.Type.f32)
    x: Any = given
    for _ in range(shape["num_hidden_layers"]):
        for out, into in ((hidden, hidden),) * 4 + ((wide, hidden), (hidden, wide)):
            weight = op.constant((rng.standard_normal((out, into)) / np.sqrt(into)).astype(np.float32))
            x = op.matmul(x, weight, transpose_a=False, transpose_b=True)
    hints = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
        "INFERENCE_NUM_THREADS": textmill.config.available_threads(),
    }
    request = ov.compile_model(ov.Model([x], [given]), "CPU", {**hints, "NUM_STREAMS": 1}).create_infer_request()
    values = rng.standard_normal((tokens, hidden)).astype(np.float32)

    def run() -> float:
        done = 0
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < 1.0:
            request.infer([values], share_inputs=True, share_outputs=True)
            done += tokens
        return done / spent

    run()
    return run
