"""``python -m bench.rerank``: 100 passages of 20 to 200 tokens by a cross-encoder, beside sentence-transformers on torch."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import sentence_transformers
import torch  # noqa: TID253 - bench compares with it

import textmill
from bench.products import products
from bench.shapes import BERT_BASE, MINI_LM, cross_encoder
from textmill.cli.throughput import Workload

SHAPES: Final = {"MiniLM-L6 shape": MINI_LM, "bert-base shape": BERT_BASE}
PASSAGES: Final = 100
DTYPES: Final = ("float32", "auto", "int8")


def main() -> None:
    """Measure in turns, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.rerank", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each has its turn")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(textmill.config.available_threads())
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            _compare(name, shape, cross_encoder(Path(folder), shape), rounds)


def _compare(name: str, shape: dict[str, int], folder: Path, rounds: int) -> None:
    reference = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=512)
    models = {dtype: textmill.load(str(folder), dtype=dtype) for dtype in DTYPES}
    for model in models.values():
        model.wait_until_warm()
    runs: dict[str, Callable[[str, Sequence[str]], list[float]]] = {
        "sentence-transformers": lambda query, texts: reference.predict(
            [(query, text) for text in texts], activation_fn=torch.nn.Identity(), show_progress_bar=False
        ).tolist(),
        **{dtype: partial(_scores, model) for dtype, model in models.items()},
    }
    alone = products(512, shape, "float32")
    least: list[float] = []
    times: dict[str, list[float]] = {contender: [] for contender in runs}
    scores: dict[str, list[list[float]]] = {contender: [] for contender in runs}
    for turn in range(rounds + 1):  # the first warms
        query, texts = _texts(turn)
        for contender, run in runs.items():
            start = time.perf_counter()
            made = run(query, texts)
            if turn:
                times[contender].append(time.perf_counter() - start)
                scores[contender].append(made)
        if turn:
            least.append(_tokens(reference, query, texts) / alone())
    print(f"{name}: {PASSAGES} passages of 20 to 200 tokens, median of {rounds} rounds")
    base = times["sentence-transformers"]
    for contender, spent in times.items():
        ratio = statistics.median(b / s for b, s in zip(base, spent, strict=True))
        pairs = list(zip(scores["sentence-transformers"], scores[contender], strict=True))
        worst = max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)
        same = all(np.argsort(a).tolist() == np.argsort(b).tolist() for a, b in pairs)
        print(
            f"  {contender:22} {statistics.median(spent):6.2f} s, {ratio:4.1f} x; largest difference {worst:.1e}, "
            f"ranking {'the same' if same else 'differs'}"
        )
    ratio = statistics.median(b / s for b, s in zip(base, least, strict=True))
    print(f"  {'float32 products alone':22} {statistics.median(least):6.2f} s, {ratio:4.1f} x")
    for model in models.values():
        model.close()


def _tokens(reference: sentence_transformers.CrossEncoder, query: str, texts: Sequence[str]) -> int:
    made = reference.tokenizer([query] * len(texts), list(texts))
    return sum(len(ids) for ids in made["input_ids"])


def _scores(model: textmill.Model, query: str, texts: Sequence[str]) -> list[float]:
    ranked = model.rerank(query, list(texts), scoring="raw")
    return [each.score for each in sorted(ranked, key=lambda each: each.index)]


def _texts(seed: int) -> tuple[str, list[str]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(20, 201, PASSAGES)
    texts = [Workload("", int(length), 512).texts(1, seed * 1000 + place)[0] for place, length in enumerate(lengths)]
    return "how does water turn the mill in winter", texts


if __name__ == "__main__":
    main()
