from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import Result

from textmill.cli.candidates import Candidate, Trial, search, try_on
from textmill.config import ModelOptions
from textmill.errors import ConfigInvalid
from textmill.store.load import load_model

SPEEDS = {"float32": 100.0, "bfloat16": 180.0, "int8": 300.0}
COSINES = {"float32": 1.0, "bfloat16": 0.9998, "int8": 0.99}


def trial(candidate: Candidate) -> Trial:
    """A machine on which all threads and the middle budget are fastest."""
    slower = (0.5 if candidate.threads else 1.0) * (0.9 if candidate.max_batch_tokens else 1.0)
    return Trial(candidate, SPEEDS[candidate.dtype] * slower, COSINES[candidate.dtype])


@pytest.mark.parametrize(("tolerance", "dtype"), [(0.02, "int8"), (0.005, "bfloat16"), (0.0, "float32")])
def test_the_fastest_that_is_exact_enough_is_kept(tolerance: float, dtype: str) -> None:
    best, _ = search(trial, threads=2, batch_tokens=lambda: 1024, tolerance=tolerance)

    assert best.candidate == Candidate(dtype)


def test_threads_and_budgets_are_tried_with_the_best_precision() -> None:
    _, trials = search(trial, threads=4, batch_tokens=lambda: 1024, tolerance=0.02)

    assert [each.candidate for each in trials[3:]] == [
        Candidate("int8", 2),
        Candidate("int8", None, 512),
        Candidate("int8", None, 2048),
    ]


def test_a_precision_that_the_backend_lacks_is_left_out_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    def without_int8(candidate: Candidate) -> Trial:
        if candidate.dtype == "int8":
            msg = "dtype is 'int8', which this backend does not have"
            raise ConfigInvalid(msg)
        return trial(candidate)

    best, trials = search(without_int8, threads=2, batch_tokens=lambda: 1024, tolerance=0.02)

    assert best.candidate == Candidate("bfloat16")
    assert {each.candidate.dtype for each in trials} == {"float32", "bfloat16"}
    assert "int8 is left out: dtype is 'int8', which this backend does not have" in caplog.messages


def test_an_option_that_is_wrong_at_every_precision_is_an_error() -> None:
    def refuse(_: Candidate) -> Trial:
        msg = "there is no device 'cuda' here"
        raise ConfigInvalid(msg)

    with pytest.raises(ConfigInvalid, match="cuda"):
        search(refuse, threads=2, batch_tokens=lambda: 1024, tolerance=0.02)


def test_one_thread_is_not_halved() -> None:
    _, trials = search(trial, threads=1, batch_tokens=lambda: 1024, tolerance=0.02)

    assert all(each.candidate.threads is None for each in trials)


def test_a_trial_is_compared_with_the_exact_answers(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmill.cli.throughput._SECONDS", 0.05)
    with load_model(tiny, ModelOptions(dtype="float32")) as model:
        first, made = try_on(model, Candidate("float32"), None, ["a text", "another"])
        second, again = try_on(model, Candidate("float32"), -made, ["a text", "another"])

    assert first.cosine == 1.0
    assert second.cosine == pytest.approx(-1.0, abs=1e-6)
    assert first.tokens_per_s > 0
    assert np.allclose(made, again)


def test_the_choice_is_written_for_serve(
    command: Callable[..., Result], tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textmill.cli.throughput._SECONDS", 0.05)
    kept = tmp_path / "kept.yaml"

    result = command("tune", tiny, "-o", str(kept), "--tolerance", "0", "--pooling", "cls", "--token", "secret")

    assert result.exit_code == 0, result.output
    assert "kept in" in result.output
    chosen = yaml.safe_load(kept.read_text())
    assert (chosen["models"], chosen["dtype"]) == ([tiny], "float32")
    assert chosen["pooling"] == "cls"
    assert "token" not in chosen
