"""``python -m bench.precision``: what bfloat16 and int8 bring on a bge-base shape, and what these cores could do at most."""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

import textmill
from bench.shapes import BERT_BASE, attention_flops, encoder, linear_flops

DTYPES: Final = ("float32", "bfloat16", "int8")
BATCHES: Final = (256, 512, 1024, 2048)
LENGTH: Final = 128


def main() -> None:
    """Measure in turns, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn")
    rounds = parser.parse_args().rounds
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        shape = BERT_BASE
        models = {name: _load(encoder(Path(folder) / "base", shape), name) for name in DTYPES}
        rates = _in_turns({name: partial(_rate, model, 8) for name, model in models.items()}, rounds)
        print(f"bge-base shape, 8 rows of {LENGTH} tokens, median of {rounds} rounds")
        for name in DTYPES:
            ratios = [one / base for one, base in zip(rates[name], rates["bfloat16"], strict=True)]
            print(
                f"  {name:9} {statistics.median(rates[name]):8,.0f} tokens/s, {statistics.median(ratios):.2f} x bfloat16"
            )
        print("bfloat16 beside the rate of its products alone")
        for batch in BATCHES:
            product = _product(batch, shape)
            model = partial(_rate, models["bfloat16"], batch // LENGTH)
            both = _in_turns({"model": model, "product": product}, rounds)
            flops = linear_flops(shape) + attention_flops(shape, LENGTH)
            shares = [
                m * flops / (p * linear_flops(shape)) for m, p in zip(both["model"], both["product"], strict=True)
            ]
            gflops = statistics.median(both["product"]) * linear_flops(shape) / 1e9
            print(
                f"  {batch:5} tokens: products {gflops:5.0f} GFLOP/s, the model {statistics.median(shares):.0%} of it"
            )
        for each in models.values():
            each.close()


def _load(folder: Path, dtype: str) -> textmill.Model:
    model = textmill.load(str(folder), dtype=dtype, max_batch_tokens=max(BATCHES))
    model.wait_until_warm()
    return model


def _rate(model: textmill.Model, rows: int) -> float:
    """Tokens a second of one call after another, of random rows that nothing has seen before."""
    rng = np.random.default_rng()
    tokens = 0
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < 1.0:
        model.embed([row.tolist() for row in rng.integers(1000, 30_000, (rows, LENGTH))])
        tokens += rows * LENGTH
    return tokens / spent


def _product(tokens: int, shape: dict[str, int]) -> Callable[[], float]:
    """Tokens a second of the encoder's linear layers alone, one after another, in bfloat16 on OpenVINO."""
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
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": textmill.config.available_threads()}
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


def _in_turns(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


if __name__ == "__main__":
    main()
