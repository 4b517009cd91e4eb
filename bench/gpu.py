"""How near the PyTorch runtime comes to a GPU's own rate: `python -m bench.gpu`, on a machine that has one.

A model in the shape of bge-base with seeded weights, in bfloat16. Its tokens a second are compared with what the same device
makes of its largest products of matrices in the same run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

import numpy as np
import torch  # noqa: TID253 - measures the framework itself

from textmill.arch.heads import Pooling
from textmill.arch.ops import Tensor
from textmill.arch.program import Program, build
from textmill.runtimes.runtime import Row, Target
from textmill.runtimes.torch import compile_program

LAYERS: Final = 12
WIDTH: Final = 768
INNER: Final = 3072
VOCABULARY: Final = 30522
POSITIONS: Final = 512
LENGTHS: Final = (50, 512)
BATCH: Final = 16384
"""Tokens."""
ROUNDS: Final = 7


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of such a checkpoint."""
    made: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        stem = f"encoder.layer.{layer}."
        square = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
        linears = dict.fromkeys(square, (WIDTH, WIDTH))
        linears |= {"intermediate.dense": (INNER, WIDTH), "output.dense": (WIDTH, INNER)}
        for name, shape in linears.items():
            made[f"{stem}{name}.weight"], made[f"{stem}{name}.bias"] = shape, shape[:1]
        norms += [f"{stem}attention.output.LayerNorm", f"{stem}output.LayerNorm"]
    for norm in norms:
        made[f"{norm}.weight"] = made[f"{norm}.bias"] = (WIDTH,)
    return made


def program() -> Program:
    """The model, with the mean of its tokens as the vector."""
    random = np.random.default_rng(0)
    config = {
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 12,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    tensors = {
        name: Tensor(random.standard_normal(shape, np.float32) * np.float32(0.02), "float32", name)
        for name, shape in shapes().items()
    }
    return build(config, tensors, {"dense": (Pooling(("mean",)),)})


def operations(length: int) -> int:
    """Multiplications and additions in products of matrices for one token of a row of that length."""
    return LAYERS * (2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER) + 4 * WIDTH * length)


def seconds(run: Callable[[], object]) -> float:
    """The median of a few rounds after two unmeasured ones; the device is idle before and after each."""
    times = []
    for _ in range(ROUNDS + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[2:])


def matrix_rate() -> float:
    """Operations a second of 20 products of 8,192 x 8,192 matrices in bfloat16."""
    size, times = 8192, 20
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return times * 2 * size**3 / seconds(lambda: [left @ right for _ in range(times)])


def main(devices: int) -> int:
    """Print a line for each length, on the first of that many CUDA devices."""
    if not devices:
        print("no CUDA device is here, so there is nothing to measure")
        return 0
    runtime = compile_program(program(), Target(max_tokens=POSITIONS, device="cuda", dtype="bfloat16"))
    for _ in runtime.warm_up():
        pass
    rate = matrix_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {rate / 1e12:.0f} T operations/s in products")
    random = np.random.default_rng(1)
    for length in LENGTHS:
        rows = [Row(random.integers(1, VOCABULARY, length).astype(np.int32)) for _ in range(BATCH // length)]
        tokens = len(rows) * length / seconds(partial(runtime.forward, rows))
        share = tokens * operations(length) / rate
        print(f"{length:4} tokens a row: {tokens:12,.0f} tokens/s, {share:.0%} of that rate")
    return 0


if __name__ == "__main__":
    sys.exit(main(torch.cuda.device_count()))
