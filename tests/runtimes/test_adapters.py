"""Rows with different task adapters share a batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from textmill.arch.program import build
from textmill.checkpoint.tensors import open_tensors
from textmill.runtimes.runtime import Row, Target, compile_program
from textmill.testing.seeded import write_seeded

GOLDEN = Path(__file__).parents[1] / "golden" / "architectures"
CASES = ("jina_v3_original_0", "jina_v3_original_1", "jina_v3_original_4", "jina_v3_original_5")


def test_each_row_runs_with_its_own_adapter(runtime_name: str, tmp_path: Path) -> None:
    rows, expected = [], []
    for case in CASES:
        facts = json.loads((GOLDEN / f"{case}.json").read_text(encoding="utf-8"))
        answers = load_file(GOLDEN / f"{case}.safetensors")["states"]
        ends = np.cumsum([len(ids) for ids in facts["rows"]])[:-1]
        expected += np.split(answers, ends)
        rows += [Row(np.array(ids, np.int32), adapter=facts["adapter"], outputs=("tokens",)) for ids in facts["rows"]]
    assert not np.allclose(expected[0], expected[len(expected) // len(CASES)])
    write_seeded(tmp_path, facts["config"], facts["shapes"], facts["seed"])
    program = build(facts["config"], open_tensors(tmp_path), {"tokens": ()})
    runtime = compile_program(
        runtime_name, program, Target(max_tokens=64, dtype="float32", threads=1, batch_tokens=512)
    )
    next(runtime.warm_up())
    order = np.random.default_rng(7).permutation(len(rows)).tolist()
    made = runtime.forward([rows[index] for index in order])["tokens"]
    for index, states in zip(order, made, strict=True):
        np.testing.assert_allclose(states, expected[index], rtol=0, atol=1e-5)
