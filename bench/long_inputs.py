"""``python -m bench.long_inputs``: what one long row costs, in seconds and in peak memory beyond the model's own.

Each measurement is a process of its own: the model is compiled and has answered one short row, then the peak is read, and read
again after the long row. Weights are random; nothing of this depends on them.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.processes import ROOT
from textmill.arch.heads import Head, Output, Pooling
from textmill.arch.ops import Tensor
from textmill.arch.program import build
from textmill.runtimes.runtime import DTypeChoice, Row, Target, compile_program
from textmill.testing.seeded import seeded_tensors

Shapes = dict[str, tuple[int, ...]]
_LAYERS: Final = {"modernbert-base": 22, "jina-bert-v2-base": 12, "mpnet-base": 12}
_WIDTH: Final = 768


def _modernbert(layers: int) -> tuple[dict[str, Any], Shapes]:
    shapes: Shapes = {"embeddings.tok_embeddings.weight": (50_368, _WIDTH)}
    shapes |= {"embeddings.norm.weight": (_WIDTH,), "final_norm.weight": (_WIDTH,)}
    for index in range(layers):
        layer = f"layers.{index}"
        shapes |= {f"{layer}.attn.Wqkv.weight": (3 * _WIDTH, _WIDTH), f"{layer}.attn.Wo.weight": (_WIDTH, _WIDTH)}
        shapes |= {f"{layer}.mlp.Wi.weight": (2304, _WIDTH), f"{layer}.mlp.Wo.weight": (_WIDTH, 1152)}
        shapes |= {f"{layer}.mlp_norm.weight": (_WIDTH,)}
        shapes |= {f"{layer}.attn_norm.weight": (_WIDTH,)} if index else {}
    return {"model_type": "modernbert", "num_hidden_layers": layers}, shapes


def _bert_layer(layer: str, names: Mapping[str, str], inner: int) -> Shapes:
    shapes: Shapes = {}
    for name in ("query", "key", "value", "output"):
        shapes |= {f"{layer}.{names[name]}.weight": (_WIDTH, _WIDTH), f"{layer}.{names[name]}.bias": (_WIDTH,)}
    for name, out, into in (("up", inner, _WIDTH), ("down", _WIDTH, inner)):
        shapes |= {f"{layer}.{names[name]}.weight": (out, into), f"{layer}.{names[name]}.bias": (out,)}
    for name in ("norm", "last_norm"):
        shapes |= {f"{layer}.{names[name]}.{part}": (_WIDTH,) for part in ("weight", "bias")}
    return shapes


def _embeddings(vocabulary: int, positions: int, types: int) -> Shapes:
    shapes: Shapes = {"embeddings.word_embeddings.weight": (vocabulary, _WIDTH)}
    shapes |= {f"embeddings.LayerNorm.{part}": (_WIDTH,) for part in ("weight", "bias")}
    shapes |= {"embeddings.position_embeddings.weight": (positions, _WIDTH)} if positions else {}
    shapes |= {"embeddings.token_type_embeddings.weight": (types, _WIDTH)} if types else {}
    return shapes


def _jina_bert(layers: int) -> tuple[dict[str, Any], Shapes]:
    """ALiBi; the feed-forward is BERT's own, as wide as the gated one's two layers together."""
    attention = {name: f"attention.self.{name}" for name in ("query", "key", "value")}
    names = attention | {"output": "attention.output.dense", "norm": "attention.output.LayerNorm"}
    names |= {"up": "intermediate.dense", "down": "output.dense", "last_norm": "output.LayerNorm"}
    shapes = _embeddings(30_528, 0, 2)
    for index in range(layers):
        shapes |= _bert_layer(f"encoder.layer.{index}", names, 3072)
    config: dict[str, Any] = {
        "model_type": "bert",
        "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
    }
    config |= {
        "position_embedding_type": "alibi",
        "num_hidden_layers": layers,
        "vocab_size": 30_528,
        "hidden_size": _WIDTH,
    }
    return config, shapes


def _mpnet(layers: int) -> tuple[dict[str, Any], Shapes]:
    """A table of biases; real checkpoints end at 512 tokens, this one has room for more."""
    names = {"query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v"}
    names |= {"output": "attention.attn.o", "norm": "attention.LayerNorm"}
    names |= {"up": "intermediate.dense", "down": "output.dense", "last_norm": "output.LayerNorm"}
    shapes = _embeddings(30_527, 8194, 0) | {"encoder.relative_attention_bias.weight": (32, 12)}
    for index in range(layers):
        shapes |= _bert_layer(f"encoder.layer.{index}", names, 3072)
    return {"model_type": "mpnet", "num_hidden_layers": layers, "max_position_embeddings": 8194}, shapes


_MODELS: Final = {"modernbert-base": _modernbert, "jina-bert-v2-base": _jina_bert, "mpnet-base": _mpnet}


def memory(what: str) -> float:
    """Resident memory of this process now (VmRSS) or at its peak (VmHWM), in MB, as Linux counts it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def measure(model: str, dtype: DTypeChoice, tokens: int, layers: int, runtime_name: str) -> dict[str, float]:
    """Seconds and MB of one row; to be run in a process of its own."""
    config, shapes = _MODELS[model](layers)
    tensors = {name: Tensor(array, "float32", name) for name, array in seeded_tensors(shapes, 1).items()}
    heads: tuple[Head, ...] = (Pooling(("mean",)),)
    outputs: dict[Output, tuple[Head, ...]] = {"dense": heads}
    target = Target(max_tokens=tokens, dtype=dtype)
    runtime = compile_program(runtime_name, build(config, tensors, outputs), target)
    runtime.forward([Row(np.arange(16, dtype=np.int32))])
    gc.collect()
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # forgets the peak so far, which is that of compiling
    before = memory("VmRSS")
    row = Row(np.arange(tokens, dtype=np.int32))
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        runtime.forward([row])
        seconds.append(time.perf_counter() - start)
    return {"weights": before, "beyond": memory("VmHWM") - before, "first": seconds[0], "second": seconds[1]}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_inputs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(_MODELS), default=list(_MODELS))
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--here", action="store_true", help="measure in this process and print JSON")
    return parser.parse_args()


def main() -> int:
    """Print a table."""
    options = arguments()
    if options.here:
        layers = options.layers or _LAYERS[options.models[0]]
        print(json.dumps(measure(options.models[0], options.dtypes[0], options.tokens, layers, options.runtime)))
        return 0
    print(f"{'model':<18} {'dtype':<9} {'tokens':>6} {'with weights':>13} {'beyond':>9} {'first':>8} {'second':>8}")
    for model in options.models:
        for dtype in options.dtypes:
            command = [sys.executable, "-m", "bench.long_inputs", "--here", "--models", model, "--dtypes", dtype]
            command += ["--tokens", str(options.tokens), "--runtime", options.runtime]
            command += ["--layers", str(options.layers)] if options.layers else []
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, text=True)
            found = json.loads(done.stdout)
            print(
                f"{model:<18} {dtype:<9} {options.tokens:>6} {found['weights']:>10.0f} MB {found['beyond']:>6.0f} MB"
                f" {found['first']:>6.1f} s {found['second']:>6.1f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
