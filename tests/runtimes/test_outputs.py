"""What every runtime promises of programs with several outputs, and of rows with tokens that are not attended to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from textmill.arch.heads import Activate, Dense, Normalize, Output, Pooling, Vocabulary
from textmill.arch.ops import Pool, Tensor
from textmill.arch.program import Chains, build
from textmill.arch.shapes import check
from textmill.checkpoint.tensors import open_tensors
from textmill.errors import ModelBroken
from textmill.runtimes.runtime import SPARSE, Row, Runtime, Target, compile_program
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3
from textmill.testing.runtime import row_of

TOLERANCE = 1e-5
MEAN = Pooling(("mean",))
DECODERS: dict[Callable[..., Path], str] = {tiny_bert: "cls.predictions.decoder", tiny_qwen3: "lm_head"}
ROWS = [(5, 6, 7), (8,), (9, 10, 11, 12, 13, 14)]


@pytest.fixture(params=list(DECODERS), ids=["bert", "qwen3"])
def make(request: pytest.FixtureRequest) -> Callable[..., Path]:
    made: Callable[..., Path] = request.param
    return made


def compiled(name: str, folder: Path, outputs: Chains, more: dict[str, Tensor] | None = None) -> Runtime:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    program = build(config, open_tensors(folder) | (more or {}), outputs)
    check(program)
    runtime = compile_program(name, program, Target(max_tokens=64, dtype="float32", threads=1, batch_tokens=256))
    next(runtime.warm_up())
    return runtime


def part(runtime: Runtime, row: Row, output: Output) -> npt.NDArray[Any]:
    """One row's own answer."""
    return np.asarray(runtime.forward([row])[output][0])


def close(actual: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


def test_one_pass_gives_each_output_as_a_program_of_its_own_does(
    runtime_name: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make(tmp_path / "tiny")
    chains: Chains = {
        "dense": (MEAN, Normalize()),
        "tokens": (),
        "sparse": (MEAN, Activate("relu")),
        "multi": (Dense("narrow"), Normalize()),
    }
    weight = np.random.default_rng(3).standard_normal((4, 32)).astype(np.float32)
    more = {"narrow.weight": Tensor(weight, "float32", "narrow.weight")}
    runtime = compiled(runtime_name, folder, chains, more)
    wishes: tuple[Output, ...] = ("multi", "dense", "sparse", "tokens")
    together = runtime.forward([row_of(*ids, outputs=wishes) for ids in ROWS])
    assert set(together) == set(wishes)
    for output, heads in chains.items():
        alone = compiled(runtime_name, folder, {output: heads}, more if output == "multi" else None)
        for place, ids in enumerate(ROWS):
            own, shared = part(alone, row_of(*ids, outputs=(output,)), output), together[output][place]
            assert own.dtype == shared.dtype
            if output == "sparse":
                np.testing.assert_array_equal(shared["index"], own["index"])
                close(shared["value"], own["value"])
            else:
                close(shared, own)


def test_only_what_a_row_of_the_batch_wants_is_answered(runtime_name: str, tmp_path: Path) -> None:
    runtime = compiled(runtime_name, tiny_bert(tmp_path), {"dense": (MEAN,), "tokens": ()})
    dense, tokens = row_of(5, 6), row_of(7, 8, 9, outputs=("tokens",))
    assert set(runtime.forward([dense])) == {"dense"}
    assert set(runtime.forward([tokens])) == {"tokens"}
    made = runtime.forward([dense, tokens])
    assert set(made) == {"dense", "tokens"}
    close(made["dense"][0], part(runtime, dense, "dense"))
    close(made["tokens"][1], part(runtime, tokens, "tokens"))


def test_states_and_sparse_rows_stay_the_callers_own(runtime_name: str, tmp_path: Path) -> None:
    runtime = compiled(runtime_name, tiny_bert(tmp_path), {"sparse": (MEAN, Activate("relu")), "tokens": ()})
    rows = [row_of(*ids, outputs=("sparse", "tokens")) for ids in ROWS]
    first = runtime.forward(rows)
    kept = {output: [np.copy(each) for each in first[output]] for output in first}
    runtime.forward(rows[::-1])
    for output, parts in kept.items():
        for actual, expected in zip(first[output], parts, strict=True):
            np.testing.assert_array_equal(actual, expected)
            actual[:] = np.zeros(1, actual.dtype)


def test_sparse_rows_ascend_and_leave_zeros_out(runtime_name: str, tmp_path: Path) -> None:
    chains: Chains = {"sparse": (MEAN, Activate("relu")), "dense": (MEAN,)}
    runtime = compiled(runtime_name, tiny_bert(tmp_path), chains)
    made = runtime.forward([row_of(*ids, outputs=("sparse", "dense")) for ids in ROWS])
    for entries, vector in zip(made["sparse"], made["dense"], strict=True):
        assert entries.dtype == SPARSE
        assert entries["index"].tolist() == np.flatnonzero(vector > 0).tolist()
        close(entries["value"], vector[vector > 0])


@pytest.mark.parametrize("how", ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_tokens_that_are_not_attended_to_are_not_pooled(
    runtime_name: str, make: Callable[..., Path], tmp_path: Path, how: Pool
) -> None:
    runtime = compiled(runtime_name, make(tmp_path / "tiny"), {"dense": (Pooling((how,)),)})
    short, hidden = row_of(5, 6, 7), row_of(5, 6, 7, 8, 9, attended=3)
    expected = part(runtime, short, "dense")
    close(part(runtime, hidden, "dense"), expected)
    made = runtime.forward([row_of(1, 2, 3, 4, 5, 6, 7), hidden, row_of(4), short])["dense"]
    close(made[1], expected)
    close(made[3], expected)


def test_tokens_that_are_not_attended_to_have_states_and_change_no_others(runtime_name: str, tmp_path: Path) -> None:
    runtime = compiled(runtime_name, tiny_bert(tmp_path), {"tokens": ()})
    hidden = part(runtime, row_of(5, 6, 7, 8, 9, attended=3, outputs=("tokens",)), "tokens")
    short = part(runtime, row_of(5, 6, 7, outputs=("tokens",)), "tokens")
    other = part(runtime, row_of(5, 6, 7, 8, 20, attended=3, outputs=("tokens",)), "tokens")
    whole = part(runtime, row_of(5, 6, 7, 8, 9, outputs=("tokens",)), "tokens")
    assert hidden.shape == (5, 32)
    close(hidden[:3], short)
    close(hidden[:4], other[:4])
    assert np.abs(hidden[4] - other[4]).max() > 0.01
    assert np.abs(hidden - whole).max() > 0.01


def test_scores_of_a_few_words_are_rows_of_the_vocabulary(
    runtime_name: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make(tmp_path / "tiny")
    tensors = open_tensors(folder)
    words = next(
        tensor.data
        for name, tensor in tensors.items()
        if name.endswith(("word_embeddings.weight", "embed_tokens.weight"))
    )
    chains: Chains = {"logits": (MEAN, Vocabulary(DECODERS[make], (9, 4))), "dense": (MEAN,)}
    made = compiled(runtime_name, folder, chains).forward([row_of(*ids, outputs=("logits", "dense")) for ids in ROWS])
    close(np.asarray(made["logits"]), np.asarray(made["dense"]) @ words[[9, 4]].T)


def test_scores_of_a_few_words_have_their_biases(runtime_name: str, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    count = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    plain: Chains = {"logits": (MEAN, Vocabulary("cls.predictions.decoder", (9, 4)))}
    bias = Tensor(np.arange(count, dtype=np.float32), "float32", "cls.predictions.bias")
    row = row_of(5, 6, outputs=("logits",))
    biased = part(compiled(runtime_name, folder, plain, {"cls.predictions.bias": bias}), row, "logits")
    close(biased, part(compiled(runtime_name, folder, plain), row, "logits") + np.array([9, 4], np.float32))


def test_a_word_beyond_the_vocabulary_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny")
    with pytest.raises(ModelBroken, match=r"no tensor .*\[9, 100000\]\.weight"):
        compiled("torch", folder, {"logits": (MEAN, Vocabulary(DECODERS[make], (9, 100_000)))})
