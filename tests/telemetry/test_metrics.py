from __future__ import annotations

import numpy as np
import pytest

from textmill.contract import BatchReport, CacheReport, Embeddings, TierReport, Timings
from textmill.errors import ModelBroken
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel

REPORT = BatchReport(rows=4, tokens=40, padded_tokens=64, seconds=0.02, deduplicated_rows=2, failed_rows=1)


def text_of(telemetry: Telemetry) -> str:
    body, content_type = telemetry.render()
    assert content_type.startswith("text/plain")
    return body.decode()


def test_batches_are_counted() -> None:
    telemetry = Telemetry()
    telemetry.observe_batch("m", REPORT)
    telemetry.observe_batch("m", REPORT)
    text = text_of(telemetry)
    assert 'textmill_batch_rows_sum{model="m"} 8' in text
    assert 'textmill_batch_tokens_count{model="m"} 2' in text
    assert 'textmill_padded_tokens_total{model="m"} 128' in text
    assert 'textmill_deduplicated_rows_total{model="m"} 4' in text
    assert 'textmill_failed_rows_total{model="m"} 2' in text


def test_a_model_is_shown_as_it_was_last_seen() -> None:
    telemetry = Telemetry()
    telemetry.observe_model("m", ready=True, waiting=(0, 0))
    telemetry.observe_model("m", ready=False, waiting=(9, 90))
    text = text_of(telemetry)
    assert 'textmill_model_ready{model="m"} 0' in text
    assert 'textmill_waiting_rows{model="m"} 9' in text
    assert 'textmill_waiting_tokens{model="m"} 90' in text


def test_an_embed_call_counts_its_tokens_and_its_cut_inputs() -> None:
    telemetry = Telemetry()
    answer = Embeddings(
        vectors=np.zeros((2, 3), np.float32), tokens=(5, 7), truncated=(False, True), timings=Timings(0.1, 0.2, 0.3)
    )
    telemetry.observe_answer("m", answer, 0.7)
    text = text_of(telemetry)
    assert 'textmill_tokens_total{model="m"} 12' in text
    assert 'textmill_truncated_inputs_total{model="m"} 1' in text
    assert 'textmill_stage_seconds_sum{model="m",stage="queue"} 0.2' in text


def test_requests_are_told_apart_by_route_status_and_model() -> None:
    telemetry = Telemetry()
    telemetry.observe_request("/embed", 200, "m", 0.004)
    telemetry.observe_request("/embed", 429, "", 0.001)
    text = text_of(telemetry)
    assert 'textmill_requests_total{model="m",route="/embed",status="200"} 1' in text
    assert 'textmill_requests_total{model="",route="/embed",status="429"} 1' in text
    assert 'textmill_request_seconds_bucket{route="/embed",le="0.0025"} 1' in text


@pytest.mark.parametrize(("status", "successes"), [(200, 1), (404, 0), ("OK", 1), ("INTERNAL", 0)])
def test_a_success_is_one_by_the_status_of_either_protocol(status: int | str, successes: int) -> None:
    telemetry = Telemetry()
    telemetry.observe_request("route", status, "m", 0.004, form="single")
    assert f'te_request_success{{method="single"}} {successes}\n' in text_of(telemetry)


def test_a_model_is_loading_until_it_has_the_name_of_its_files() -> None:
    telemetry = Telemetry()
    telemetry.expect(["folder/m"])
    assert 'textmill_model_state{model="folder/m",state="loading"} 1' in text_of(telemetry)
    with telemetry.loading("folder/m"):
        assert 'textmill_model_state{model="folder/m",state="loading"} 1' in text_of(telemetry)
    assert "folder/m" not in text_of(telemetry)


def test_a_model_that_has_gone_is_unloaded_until_it_loads_again() -> None:
    telemetry, model = Telemetry(), RecordingModel()
    there = [model]
    telemetry.watch(lambda: there)
    assert 'textmill_model_state{model="tiny",state="ready"} 1' in telemetry.render()[0].decode()
    there.clear()
    text = telemetry.render()[0].decode()
    assert 'textmill_model_state{model="tiny",state="unloaded"} 1' in text
    assert 'textmill_model_state{model="tiny",state="ready"} 0' in text
    assert 'textmill_model_ready{model="tiny"} 0' in text
    with telemetry.loading("tiny"):
        assert 'textmill_model_state{model="tiny",state="loading"} 1' in telemetry.render()[0].decode()
    there.append(model)
    assert 'textmill_model_state{model="tiny",state="ready"} 1' in telemetry.render()[0].decode()


def test_a_load_that_ends_with_an_error_has_failed() -> None:
    telemetry = Telemetry()
    with pytest.raises(ModelBroken), telemetry.loading("m"):
        raise ModelBroken
    text = text_of(telemetry)
    assert 'textmill_model_state{model="m",state="loading"} 0' in text
    assert 'textmill_model_state{model="m",state="failed"} 1' in text


def test_the_line_of_all_models_is_teis_queue() -> None:
    telemetry, first, second = Telemetry(), RecordingModel("a"), RecordingModel("b")
    telemetry.watch(lambda: [first, second])
    first.waiting, second.waiting = (3, 30), (4, 40)
    assert "\nte_queue_size 7\n" in text_of(telemetry)
    assert 'te_request_input_length_bucket{le="256"} 0\nte_request_input_length_bucket{le="+Inf"}' in text_of(telemetry)


def test_padding_is_what_rows_of_one_length_would_have_saved() -> None:
    telemetry = Telemetry()
    telemetry.observe_batch("m", REPORT)
    assert 'textmill_padding_tokens_total{model="m"} 24\n' in text_of(telemetry)


def test_two_telemetries_share_nothing() -> None:
    first, second = Telemetry(), Telemetry()
    first.observe_model("m", ready=True, waiting=(0, 0))
    assert 'textmill_model_ready{model="m"} 1' in text_of(first)
    assert 'model="m"' not in text_of(second)


def test_a_cache_is_looked_at_with_each_scrape() -> None:
    telemetry = Telemetry()
    assert "cache" not in telemetry.render()[0].decode().replace("textmill_cached_tokens", "")
    report = CacheReport(
        hits={("m", "memory"): 3, ("m", "disk"): 2},
        misses={"m": 1},
        tiers={"disk": TierReport(entries=5, size=8192, evictions=4)},
    )
    telemetry.watch_cache(lambda: report)
    for _ in range(2):
        shown = telemetry.render()[0].decode().splitlines()
        assert {
            'textmill_cache_hits_total{model="m",tier="memory"} 3',
            'textmill_cache_hits_total{model="m",tier="disk"} 2',
            'textmill_cache_misses_total{model="m"} 1',
            'textmill_cache_evictions_total{tier="disk"} 4',
            'textmill_cache_bytes{tier="disk"} 8192',
            'textmill_cache_entries{tier="disk"} 5',
        } <= set(shown)
