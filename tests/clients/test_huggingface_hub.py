"""Hugging Face's client with the server's URL for a model, as its users have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from textmill.contract import Embeddings, EmbedOptions, Input
from textmill.errors import Overloaded
from textmill.testing.served import RecordingModel, vector_of

TEXTS = ["first", "second", "third"]


class UnitModel(RecordingModel):
    """Its vectors have unit length where that is asked for, as those of real models."""

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        made = await super().embed_inputs(inputs, options)
        return replace(made, vectors=unit(made.vectors)) if options.normalize is not False else made


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


@pytest.fixture
def model() -> RecordingModel:
    """An embedding model: what `/` does is for the model to say."""
    made = UnitModel()
    made.info = replace(made.info, tasks=("embed", "embed_tokens"), labels=())
    return made


@pytest.fixture
def client(url: str) -> InferenceClient:
    return InferenceClient(url, token="key")  # noqa: S106 - the server's in this test


def test_feature_extraction(client: InferenceClient) -> None:
    one = client.feature_extraction(TEXTS[0])
    assert one.shape == (1, len(vector_of(TEXTS[0])))
    assert np.allclose(one[0], unit(vector_of(TEXTS[0])))
    several = client.feature_extraction(TEXTS)
    assert np.allclose(several, [unit(vector_of(text)) for text in TEXTS])


def test_feature_extraction_with_options(client: InferenceClient, model: RecordingModel) -> None:
    client.feature_extraction(
        "text", normalize=False, truncate=True, truncation_direction="left", prompt_name="query", dimensions=4
    )
    _, options = model.calls[-1]
    for name, value in {"normalize": False, "truncate_side": "left", "prompt_name": "query", "dimensions": 4}.items():
        assert getattr(options, name) == value


def test_sentence_similarity(client: InferenceClient) -> None:
    made = client.sentence_similarity(TEXTS[0], TEXTS[1:])
    first, *others = (unit(vector_of(text)) for text in TEXTS)
    assert np.allclose(made, [first @ other for other in others], atol=1e-5)


def test_text_classification(client: InferenceClient, model: RecordingModel) -> None:
    model.info = replace(RecordingModel().info, tasks=("classify",))
    made = client.text_classification(TEXTS[0])
    scores = dict(zip(model.info.labels, vector_of(TEXTS[0], len(model.info.labels)), strict=True))
    assert [one.label for one in made] == sorted(scores, key=scores.__getitem__, reverse=True)
    assert np.allclose([one.score for one in made], sorted(scores.values(), reverse=True))
    [best] = client.text_classification(TEXTS[0], top_k=1)
    assert best.label == made[0].label


def test_what_goes_wrong_is_said_in_the_error(client: InferenceClient, model: RecordingModel) -> None:
    model.error = Overloaded("too much work waits", retry_after=2)
    with pytest.raises(HfHubHTTPError, match="too much work waits") as caught:
        client.feature_extraction(TEXTS[0])
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["retry-after"] == "2"
