"""``python -m bench.indexing``: LlamaIndex indexes chunks through our class, beside its own HuggingFaceEmbedding on torch."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from bench.__main__ import MODEL, checkpoint
from bench.machine import describe
from bench.processes import ROOT
from bench.progress import Progress
from textmill.cli.throughput import Workload

CONTENDERS: Final = (
    "HuggingFaceEmbedding, torch float32",
    "TextmillEmbedding, float32",
    "TextmillEmbedding, auto",
    "TextmillEmbedding, int8",
)
LENGTHS: Final = (40, 220)
"""Tokens of a chunk, at least and at most: within what MiniLM takes, with LlamaIndex's header of metadata."""


def main() -> None:
    """Measure in turns, each contender in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.indexing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each has its turn")
    parser.add_argument("--chunks", type=int, default=2000, help="chunks in the index")
    parser.add_argument("--lengths", type=int, nargs=2, default=LENGTHS, help="tokens of a chunk, at least and at most")
    parser.add_argument("--model", default=MODEL, help="a checkpoint's folder (default: the packaged MiniLM)")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = checkpoint(given.model)
    if given.worker:
        _work(given.worker, folder, given.chunks, given.lengths)
        return
    workers = {name: _start(name, folder, given.chunks, given.lengths) for name in CONTENDERS}
    told: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    vectors: dict[str, Any] = {}
    with Progress() as progress:
        for turn in range(given.rounds + 1):  # the first warms
            for name, worker in workers.items():
                progress.say(f"{name}, round {turn} of {given.rounds}")
                answer = _ask(worker)
                vectors[name] = np.array(answer.pop("some"))
                if turn:
                    told[name].append(answer)
    for worker in workers.values():
        cast("IO[str]", worker.stdin).close()
        worker.wait()
    _report(told, vectors, given.chunks)


def _report(told: dict[str, list[dict[str, float]]], vectors: dict[str, Any], chunks: int) -> None:
    machine = describe(tuple(sorted(os.sched_getaffinity(0))))
    print(f"VectorStoreIndex over {chunks} chunks, median of {len(told[CONTENDERS[0]])} rounds in turns; {machine.cpu}")
    base = told[CONTENDERS[0]]
    for name, rounds in told.items():
        seconds, cpu, inside = (statistics.median(each[key] for each in rounds) for key in ("seconds", "cpu", "inside"))
        by_clock, by_cpu = (_ratio(base, rounds, key) for key in ("seconds", "cpu"))
        apart = np.abs(vectors[CONTENDERS[0]] - vectors[name]).max()
        print(
            f"  {name:36} {seconds:7.2f} s, {by_clock:5.2f} x; of the cores {cpu:7.2f} s, {by_cpu:5.2f} x; "
            f"{inside:7.2f} s inside the model; largest difference {apart:.1e}"
        )


def _ratio(base: list[dict[str, float]], rounds: list[dict[str, float]], key: str) -> float:
    return statistics.median(theirs[key] / ours[key] for theirs, ours in zip(base, rounds, strict=True))


def _start(name: str, folder: Path, chunks: int, lengths: Sequence[int]) -> subprocess.Popen[str]:
    own = [sys.executable, "-m", "bench.indexing", "--worker", name, "--model", str(folder), "--chunks", str(chunks)]
    own += ["--lengths", *map(str, lengths)]
    command = ["/usr/bin/env", "HF_HUB_OFFLINE=1", *own]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    cast("IO[str]", worker.stdout).readline()  # it is ready, and waits from now on
    return worker


def _ask(worker: subprocess.Popen[str]) -> dict[str, Any]:
    asked, answered = cast("IO[str]", worker.stdin), cast("IO[str]", worker.stdout)
    asked.write("\n")
    asked.flush()
    answer: dict[str, Any] = json.loads(answered.readline())
    return answer


def _work(name: str, folder: Path, chunks: int, between: Sequence[int]) -> None:
    """A contender's process: for each line, index all chunks, and say how long that took."""
    from llama_index.core import VectorStoreIndex  # noqa: PLC0415 - a contender's process alone
    from llama_index.core.schema import TextNode  # noqa: PLC0415 - as above

    model = _model(name, folder)
    spent = _timed(model)
    rng = np.random.default_rng(0)
    lengths = rng.integers(between[0], between[1], chunks)
    texts = [Workload("", int(length), 512).texts(1, place)[0] for place, length in enumerate(lengths)]
    print(flush=True)
    for _ in sys.stdin:
        nodes = [TextNode(text=text, metadata={"chunk": place}) for place, text in enumerate(texts)]
        spent.clear()
        start, used = time.perf_counter(), time.process_time()
        index = VectorStoreIndex(nodes, embed_model=model)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        store: Any = index.vector_store
        some = [store.get(node.node_id) for node in nodes[:20]]
        print(json.dumps({"seconds": seconds, "cpu": used, "inside": sum(spent), "some": some}), flush=True)


def _model(name: str, folder: Path) -> Any:
    if name == CONTENDERS[0]:
        import torch
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding  # noqa: PLC0415 - as above

        import textmill  # noqa: PLC0415 - as above

        torch.set_num_threads(textmill.config.available_threads())
        return HuggingFaceEmbedding(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    from llama_index.embeddings.textmill import TextmillEmbedding  # noqa: PLC0415 - as above

    model = TextmillEmbedding(str(folder), device="cpu", model_kwargs={"dtype": name.rpartition(" ")[2]})
    model._model.model.wait_until_warm()  # noqa: SLF001 - what is measured is a warm one
    return model


def _timed(model: Any) -> list[float]:
    """The seconds of each call that LlamaIndex makes of a model, as they come."""
    spent: list[float] = []
    embed = model._get_text_embeddings  # noqa: SLF001 - where LlamaIndex's part ends

    def embed_timed(texts: list[str]) -> Any:
        start = time.perf_counter()
        made = embed(texts)
        spent.append(time.perf_counter() - start)
        return made

    object.__setattr__(model, "_get_text_embeddings", embed_timed)
    return spent


if __name__ == "__main__":
    main()
