"""``python -m bench.precision``: what bfloat16 and int8 bring on a bge-base shape, and what these cores could do at most."""

from __future__ import annotations

import argparse
import ast
import logging
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import textmill
from bench.products import products
from bench.shapes import BERT_BASE, attention_flops, encoder, linear_flops

DTYPES: Final = ("float32", "bfloat16", "int8")
BATCHES: Final = (256, 512, 1024, 2048)
LENGTH: Final = 128
_WORDS: Final = 30
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


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
            product = products(batch, shape, "bfloat16")
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
    print(_accuracy())


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


def _accuracy(count: int = 500, nearest: int = 10) -> str:
    """How far MiniLM in int8 is from float32 on passages that people wrote."""
    texts = _docstrings(count)
    vectors = {}
    for name in ("float32", "int8"):
        with textmill.load("all-MiniLM-L6-v2", dtype=name) as model:
            vectors[name] = model.embed(texts)
    exact, near = vectors["float32"], vectors["int8"]
    cosines = (exact * near).sum(1)
    kept = [len(set(a) & set(b)) for a, b in zip(_nearest(exact, nearest), _nearest(near, nearest), strict=True)]
    return (
        f"MiniLM on {len(texts)} docstrings, int8 to float32: smallest cosine {cosines.min():.4f}, mean {cosines.mean():.4f}, "
        f"{np.mean(kept) / nearest:.1%} of the {nearest} nearest in common"
    )


def _nearest(vectors: NDArray[np.float32], count: int) -> list[list[int]]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return [row.tolist() for row in np.argsort(-scores, axis=1)[:, :count]]


def _docstrings(count: int) -> list[str]:
    """Prose of some length from Python's own modules, which is on every machine."""
    texts: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
        written = (ast.get_docstring(node) or "" for node in nodes)
        texts.update(dict.fromkeys(text for text in written if len(text.split()) >= _WORDS))
    return list(texts)[:count]


def _in_turns(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


if __name__ == "__main__":
    main()
