"""Every architecture and head of tests/golden/architectures equals the reference, on every runtime."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from textmill.arch.config import parse_config
from textmill.arch.families import architecture, heads_of
from textmill.arch.heads import Head, Output
from textmill.arch.program import Program, build
from textmill.arch.shapes import check
from textmill.checkpoint.tensors import open_tensors
from textmill.runtimes.runtime import Row, Runtime, Target, compile_program
from textmill.testing.seeded import write_seeded

GOLDEN = Path(__file__).parents[1] / "golden" / "architectures"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))
TOLERANCE = 1e-5

OUTPUTS: dict[str, tuple[Output, str | None]] = {
    "states": ("tokens", None),
    "logits": ("logits", "classifier"),
    "token_logits": ("token_logits", "token_classifier"),
    "vocabulary": ("token_logits", "language_model"),
}
"""What a case is about: the program's output, and the architecture's heads for it."""


@dataclass(frozen=True)
class Stored:
    """A case as scripts/golden.py stored it."""

    name: str
    facts: dict[str, Any]
    answers: npt.NDArray[np.float32]

    @property
    def output(self) -> Output:
        return OUTPUTS[self.facts["kind"]][0]

    def rows(self) -> list[Row]:
        types = self.facts["types"] or [None] * len(self.facts["rows"])
        return [
            Row(
                np.array(ids, np.int32),
                None if segments is None else np.array(segments, np.int32),
                adapter=self.facts["adapter"],
                outputs=(self.output,),
            )
            for ids, segments in zip(self.facts["rows"], types, strict=True)
        ]

    def program(self, folder: Path) -> Program:
        config = self.facts["config"]
        write_seeded(folder, config, self.facts["shapes"], self.facts["seed"], around=self.facts.get("around", 1.0))
        make = OUTPUTS[self.facts["kind"]][1]
        module = architecture(config)
        heads: tuple[Head, ...] = () if make is None else heads_of(module, parse_config(module.Config, config), make)
        return build(config, open_tensors(folder), {self.output: heads})


@pytest.fixture(params=CASES)
def stored(request: pytest.FixtureRequest) -> Stored:
    name: str = request.param
    facts = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return Stored(name, facts, load_file(GOLDEN / f"{name}.safetensors")[facts["kind"]])


def compiled(name: str, program: Program) -> Runtime:
    runtime = compile_program(
        name, program, Target(max_tokens=64, dtype="float32", threads=1, batch_tokens=256, batch_rows=8)
    )
    next(runtime.warm_up())
    return runtime


def answers(runtime: Runtime, rows: list[Row], output: Output) -> list[npt.NDArray[np.float32]]:
    """An array for each row, whatever the output's kind is."""
    made = runtime.forward(rows)[output]
    return [np.atleast_2d(cast("npt.NDArray[np.float32]", part)) for part in made]


def test_alone_together_and_shuffled_all_equal_the_reference(runtime_name: str, stored: Stored, tmp_path: Path) -> None:
    program = stored.program(tmp_path)
    assert check(program)[stored.output].axes == stored.answers.shape[1:]
    runtime = compiled(runtime_name, program)
    rows = stored.rows()
    counts = [1 if stored.output == "logits" else len(row) for row in rows]
    expected = np.split(stored.answers, np.cumsum(counts)[:-1])
    alone = [part for row in rows for part in answers(runtime, [row], stored.output)]
    shuffled = np.random.default_rng(7).permutation(len(rows)).tolist()
    for order, made in (
        (range(len(rows)), alone),
        (range(len(rows)), answers(runtime, rows, stored.output)),
        (shuffled, answers(runtime, [rows[index] for index in shuffled], stored.output)),
    ):
        for index, part in zip(order, made, strict=True):
            np.testing.assert_allclose(part, expected[index], rtol=0, atol=TOLERANCE)
