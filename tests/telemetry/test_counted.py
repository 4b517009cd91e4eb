from __future__ import annotations

import pytest

from textmill.contract import ClassifyOptions, EmbedOptions, RerankOptions, TokenizeOptions
from textmill.errors import InvalidInput
from textmill.telemetry import Telemetry
from textmill.telemetry.counted import again, counted
from textmill.testing.served import RecordingModel


def shown(telemetry: Telemetry) -> set[str]:
    return {line for line in telemetry.render()[0].decode().splitlines() if line.startswith("te_")}


async def test_inputs_count_before_they_are_computed() -> None:
    telemetry, model = Telemetry(), RecordingModel()
    served = counted(model, telemetry)
    model.error = InvalidInput("no")
    with pytest.raises(InvalidInput):
        await served.embed_inputs(["a", "b"], EmbedOptions())
    model.error = None
    await served.embed_inputs(["a"], EmbedOptions())
    await served.classify_inputs(["a"], ClassifyOptions())
    await served.rerank_inputs("query", ["a", "b", "c"], RerankOptions())
    assert {"te_embed_count 3", "te_predict_count 4"} <= shown(telemetry)


async def test_all_else_is_the_model_itself() -> None:
    telemetry, model = Telemetry(), RecordingModel()
    served = counted(model, telemetry)
    assert served.info is model.info
    model.ready = False
    assert served.ready is False
    await served.tokenize_inputs(["a"], TokenizeOptions())
    assert {"te_embed_count 0", "te_predict_count 0"} <= shown(telemetry)


async def test_what_the_model_cannot_do_counts_no_inputs() -> None:
    telemetry, model = Telemetry(), RecordingModel()
    assert "embed_hybrid" not in model.info.tasks
    with pytest.raises(AttributeError):
        counted(model, telemetry).embed_hybrid_inputs  # type: ignore[attr-defined]  # noqa: B018 - asking is the point
    assert "te_embed_count 0" in shown(telemetry)


async def test_what_is_asked_again_counts_no_second_time() -> None:
    telemetry, model = Telemetry(), RecordingModel()
    served = counted(model, telemetry)
    await served.embed_inputs(["a", "b"], EmbedOptions())
    with again():
        await served.embed_inputs(["a"], EmbedOptions())
    await served.embed_inputs(["c"], EmbedOptions())
    assert "te_embed_count 3" in shown(telemetry)
