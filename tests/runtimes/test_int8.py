"""int8: linear layers by a plan, made of what their inputs were on sample rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from textmill.arch.heads import Normalize, Pooling
from textmill.arch.program import Program, build
from textmill.checkpoint.jsonfile import read_json
from textmill.checkpoint.tensors import open_tensors
from textmill.errors import ConfigInvalid
from textmill.runtimes.openvino_int8 import Observed, least_cosine
from textmill.runtimes.plans import Kept, read_plan, write_plan
from textmill.runtimes.quantization import Draft, Group, Linear, Plan, Ranges, plan_of
from textmill.runtimes.runtime import Calibration, Row, Runtime, Target, compile_program
from textmill.testing.checkpoints import tiny_bert

Floats = npt.NDArray[np.float32]
RNG = np.random.default_rng(11)


def linear(out: int, channels: int) -> Linear:
    weight, bias = RNG.standard_normal((out, channels)), RNG.standard_normal(out)
    return Linear("0 w", (weight / channels**0.5).astype(np.float32), bias.astype(np.float32))


def inputs(tokens: int, channels: int, *, outlier: float = 1.0) -> Floats:
    x = RNG.standard_normal((tokens, channels)) + RNG.standard_normal(channels)
    x[:, 3] *= outlier
    return x.astype(np.float32)


def draft_of(group: Group, x: Floats) -> Draft:
    ranges = Ranges.none(x.shape[1])
    ranges.see(x, typical=True)
    draft = Draft(group, ranges)
    draft.see(x)
    return draft


def computed(plan: Plan, name: str, x: Floats) -> Floats:
    """What the layer makes of its input, in numpy."""
    layer = plan.layers[name]
    x = x[:, next(iter(plan.repeats.values()))] if plan.repeats else x
    codes = np.clip(np.rint((x - layer.low) / (layer.high - layer.low) * 255), 0, 255)
    made = (codes * layer.reach / 255) @ (layer.weight * layer.scales[:, None]).T + layer.bias
    return np.asarray(made, np.float32)


@pytest.mark.parametrize("after", [None, "0 before"], ids=["whole", "parted"])
def test_a_quantised_layer_is_close_and_right_on_average(after: str | None) -> None:
    layer, x = linear(24, 48), inputs(600, 48)
    draft = draft_of(Group((layer,), after), x)
    plan = plan_of([draft])
    assert layer.bias is not None
    exact = x @ layer.weight.T + layer.bias
    error = computed(plan, layer.name, x) - exact
    assert np.abs(error.mean(axis=0)).max() < 1e-3
    assert (error**2).mean() < 1e-3 * exact.var()
    assert draft.error == pytest.approx(error.var(axis=0).sum() / exact.var(axis=0).sum(), rel=0.2)


def test_parting_the_widest_channels_helps_where_one_stands_out() -> None:
    layer, x = linear(24, 48), inputs(600, 48, outlier=40.0)
    whole, parted = (draft_of(Group((layer,), after), x).error for after in (None, "0 before"))
    assert parted < whole / 2


def test_a_layer_that_loses_too_much_stays_as_it_is() -> None:
    x = inputs(600, 48)
    ranges = Ranges.none(48)
    ranges.see(x, typical=True)
    ranges.see(x * 3000, typical=False)  # strange rows stretch every range
    draft = Draft(Group((linear(24, 48),), None), ranges)
    draft.see(x)
    assert not plan_of([draft]).layers


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    plan = plan_of([draft_of(Group((linear(24, 48),), "0 before"), inputs(600, 48))])
    file = tmp_path / "deep" / "plan.safetensors"
    write_plan(file, Kept(plan, 0.995))
    kept = read_plan(file)
    assert kept is not None
    assert kept.cosine == 0.995
    for name, layer in plan.layers.items():
        np.testing.assert_array_equal(kept.plan.layers[name].weight, layer.weight)
        assert kept.plan.layers[name].group == layer.group
    np.testing.assert_array_equal(kept.plan.repeats["0 before"], plan.repeats["0 before"])


@pytest.mark.parametrize("damage", [b"", b"nothing like it", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_made_anew(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "plan.safetensors").write_bytes(damage)
    assert read_plan(tmp_path / "plan.safetensors") is None


def rows(vocabulary: int, count: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [Row(rng.integers(5, vocabulary, rng.integers(1, 30)).astype(np.int32)) for _ in range(count)]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    folder = tiny_bert(tmp_path / "tiny", hidden=64)
    return build(read_json(folder / "config.json"), open_tensors(folder), {"dense": (Pooling(("mean",)), Normalize())})


@pytest.fixture
def calibrate(program: Program, tmp_path: Path) -> Callable[[], Calibration]:
    size = program.config.vocab_size
    return lambda: Calibration(rows(size, 60, 1), rows(size, 20, 2), tmp_path / "cache" / "plan.safetensors")


def compiled(program: Program, target: Target) -> Runtime:
    runtime = compile_program("openvino", program, target)
    next(runtime.warm_up())
    return runtime


def test_int8_is_close_to_float32_and_says_how_close(
    program: Program, calibrate: Callable[[], Calibration], caplog: pytest.LogCaptureFixture
) -> None:
    target = Target(max_tokens=32, dtype="int8", threads=1, calibrate=calibrate)
    with caplog.at_level(logging.INFO):
        runtime = compiled(program, target)
    plain = compiled(program, replace(target, dtype="float32"))
    others = rows(program.config.vocab_size, 40, 3)
    made, exact = (each.forward(others)["dense"] for each in (runtime, plain))
    cosines = np.einsum("nd,nd->n", np.asarray(made), np.asarray(exact))
    assert cosines.min() > 0.98
    assert runtime.facts.dtype == "int8"
    assert runtime.facts.cosine is not None
    assert 0.98 < runtime.facts.cosine < 1
    assert "12 of 12 linear layers bear it" in caplog.text


def test_the_second_time_the_plan_is_read_and_answers_the_same(
    program: Program, calibrate: Callable[[], Calibration], caplog: pytest.LogCaptureFixture
) -> None:
    target = Target(max_tokens=32, dtype="int8", threads=1, calibrate=calibrate)
    others = rows(program.config.vocab_size, 10, 3)
    first = compiled(program, target)
    with caplog.at_level(logging.INFO):
        second = compiled(program, target)
    assert "quantising" not in caplog.text
    assert second.facts == first.facts
    np.testing.assert_array_equal(first.forward(others)["dense"], second.forward(others)["dense"])


class Scores:
    """Stands for a float32 graph that answers each row with its first id, shifted."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def run(self, batch: Sequence[Row]) -> tuple[Floats, list[Floats]]:
        return np.array([[row.ids[0] + self.shift] for row in batch], np.float32), []


def test_single_scores_are_compared_over_all_rows() -> None:
    # Near zero a score's sign may change though the scores hardly do.
    some = [Row(np.array([number, 5], np.int32)) for number in range(20)]
    exact = cast("Observed", Scores(-0.01))

    cosine = least_cosine(lambda batch: {"logits": Scores(0.01).run(batch)[0]}, exact, "logits", some)

    assert 0.999 < cosine < 1


def test_int8_needs_something_to_be_calibrated_by(program: Program) -> None:
    with pytest.raises(ConfigInvalid, match="needs texts"):
        compile_program("openvino", program, Target(max_tokens=32, dtype="int8"))


def test_torch_has_no_int8(program: Program) -> None:
    with pytest.raises(ConfigInvalid, match="int8 is openvino's"):
        compile_program("torch", program, Target(max_tokens=32, dtype="int8"))


def test_a_plan_that_cannot_be_written_does_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_of([draft_of(Group((linear(24, 48),), None), inputs(600, 48))])
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "taken.safetensors").mkdir()
    for path in (
        tmp_path / "file" / "plan.safetensors",
        tmp_path / "taken.safetensors",
        Path("/proc/plan.safetensors"),
    ):
        write_plan(path, Kept(plan, 1.0))

    assert caplog.text.count("cannot be kept") == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "taken.safetensors"]
