"""The names, labels and buckets that dashboards of Text Embeddings Inference ask for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from textmill.contract import Embeddings, Scores, Timings
from textmill.errors import (
    EmptyInput,
    ForwardFailed,
    InvalidInput,
    ModelBroken,
    ModelNotFound,
    Overloaded,
    TooManyInputs,
    Unavailable,
    WrongTask,
)
from textmill.telemetry.tei import TeiSeries, err_of

TIMINGS = Timings(tokenize=0.001, queue=0.002, inference=0.004)
COUNTERS = {
    "te_request_count": {'{method="single"}', '{method="batch"}'},
    "te_request_success": {'{method="single"}', '{method="batch"}'},
    "te_request_failure": {
        f'{{err="{err}"}}'
        for err in (
            *("validation", "batch_size", "model_type", "tokenization"),
            *("overloaded", "inference", "dropped", "missing_values"),
        )
    },
    **{f"te_{family}_{what}": {""} for family in ("embed", "predict") for what in ("count", "success")},
}
STAGES = ("", "tokenization_", "queue_", "inference_")
HISTOGRAMS = {
    *(f"te_{family}_{stage}duration" for family in ("request", "embed", "predict") for stage in STAGES),
    *("te_request_input_length", "te_batch_next_size", "te_batch_next_tokens"),
}


def text_of(series: TeiSeries, waiting: int = 0) -> str:
    return "\n".join((*series.lines(waiting), ""))


def bounds(text: str, name: str) -> list[str]:
    return re.findall(rf'^{name}_bucket{{le="([^"]*)"}}', text, re.MULTILINE)


def test_every_series_is_there_before_the_first_request() -> None:
    text = text_of(TeiSeries(512))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert types == {
        **dict.fromkeys(COUNTERS, "counter"),
        **dict.fromkeys(HISTOGRAMS, "histogram"),
        "te_queue_size": "gauge",
    }
    for name, labels in COUNTERS.items():
        assert set(re.findall(rf"^{name}(\S*) 0$", text, re.MULTILINE)) == labels
    for name in HISTOGRAMS:
        assert f"{name}_sum 0\n{name}_count 0\n" in text


def test_prometheus_reads_it() -> None:
    families = {family.name for family in text_string_to_metric_families(text_of(TeiSeries(512)))}
    assert families == {*COUNTERS, *HISTOGRAMS, "te_queue_size"}


def test_the_buckets_are_theirs() -> None:
    text = text_of(TeiSeries(512))
    for name in HISTOGRAMS:
        if name.endswith("duration"):
            seconds = bounds(text, name)
            assert seconds.pop() == "+Inf"
            assert [float(bound) for bound in seconds] == pytest.approx([1e-5 * 1.5**k for k in range(1, 36)])
            assert not any("e" in bound for bound in seconds)
    assert bounds(text, "te_request_input_length") == [*(str(2**k) for k in range(10)), "+Inf"]
    assert bounds(text, "te_batch_next_size") == [*(str(2**k) for k in range(13)), "+Inf"]
    assert bounds(text, "te_batch_next_tokens") == [*(str(2**k) for k in range(21)), "+Inf"]


@pytest.mark.parametrize(("longest", "last"), [(500, "256"), (8192, "8192"), (1 << 30, "524288")])
def test_lengths_reach_as_far_as_the_model_does(longest: int, last: str) -> None:
    series = TeiSeries(512)
    series.limit_lengths(longest)
    assert bounds(text_of(series), "te_request_input_length")[-2] == last


def test_a_request_is_counted_once_and_each_of_its_inputs() -> None:
    series = TeiSeries(512)
    series.entered("batch")
    series.taken("embed", 2)
    made = Embeddings(vectors=np.zeros((2, 3), np.float32), tokens=(5, 7), truncated=(False, False), timings=TIMINGS)
    series.answered(made, 0.01)
    series.spent(made.timings)
    series.succeeded("batch", 0.01)
    text = text_of(series)
    for line in (
        'te_request_count{method="batch"} 1',
        'te_request_success{method="batch"} 1',
        'te_request_success{method="single"} 0',
        "te_request_duration_count 1",
        "te_request_queue_duration_count 1",
        "te_request_queue_duration_sum 0.002",
        "te_request_input_length_count 2",
        "te_request_input_length_sum 12",
        "te_embed_count 2",
        "te_embed_success 2",
        "te_embed_duration_count 2",
        "te_embed_duration_sum 0.02",
        "te_embed_tokenization_duration_count 2",
        "te_predict_count 0",
        "te_predict_success 0",
    ):
        assert f"\n{line}\n" in text


def test_scores_are_predictions() -> None:
    series = TeiSeries(512)
    made = Scores(scores=np.zeros(3, np.float32), tokens=(4, 4, 4), truncated=(False,) * 3, timings=TIMINGS)
    series.answered(made, 0.01)
    text = text_of(series)
    assert "\nte_predict_success 3\n" in text
    assert "\nte_embed_success 0\n" in text


def test_batches_and_the_line_are_shown() -> None:
    series = TeiSeries(512)
    series.batch(3, 40)
    text = text_of(series, waiting=9)
    assert "\nte_batch_next_size_sum 3\n" in text
    assert "\nte_batch_next_tokens_sum 40\n" in text
    assert "\nte_queue_size 9\n" in text


@pytest.mark.parametrize(
    ("error", "err"),
    [
        (EmptyInput("an empty list", param="inputs"), "validation"),
        (InvalidInput("dimensions", param="dimensions"), "validation"),
        (InvalidInput("too long", index=0), "tokenization"),
        (InvalidInput("too long", param="query"), "tokenization"),
        (InvalidInput("unknown", param="prompt_name"), "tokenization"),
        (EmptyInput("an empty text", index=3), "tokenization"),
        (TooManyInputs("too many"), "batch_size"),
        (WrongTask("cannot"), "model_type"),
        (Overloaded("full", retry_after=1.0), "overloaded"),
        (ForwardFailed("broke"), "inference"),
        (Unavailable("closing"), "inference"),
        (ModelNotFound("who?"), None),
        (ModelBroken("files are missing"), "inference"),
        (ZeroDivisionError(), "inference"),
        (KeyboardInterrupt(), None),
    ],
)
def test_each_error_has_the_label_that_it_has_there(error: BaseException, err: str | None) -> None:
    assert err_of(error) == err
