from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

import textmill
from textmill.cli.throughput import Workload, measure, workloads
from textmill.contract import Embeddings, EmbedOptions, Input, Timings


def test_lengths_beyond_the_model_are_cut_to_it_and_not_repeated() -> None:
    assert [kind.name for kind in workloads(512)] == ["16", "128", "512", "mixed"]
    assert [kind.name for kind in workloads(100)] == ["16", "100", "mixed"]


def test_texts_are_the_same_for_the_same_seed_only() -> None:
    kind = Workload("16", 16, 512)

    assert kind.texts(20, seed=1) == kind.texts(20, seed=1)
    assert not set(kind.texts(20, seed=1)) & set(kind.texts(20, seed=2))


def test_the_mix_has_the_lengths_of_its_distribution() -> None:
    lengths = np.array([len(text.split()) + 2 for text in Workload("mixed", 0, 256).texts(4000, seed=1)])

    assert (lengths.min(), lengths.max()) >= (4, 200)
    assert lengths.max() <= 256
    assert abs(np.median(lengths) - 48) < 3
    assert abs(np.std(np.log(lengths)) - 0.7) < 0.05


def test_most_words_are_one_token_of_the_default_model() -> None:
    with textmill.load("all-MiniLM-L6-v2") as model:
        texts = Workload("128", 128, 256).texts(20, seed=1)
        made = asyncio.run(model.embed_inputs(texts, EmbedOptions()))

    assert set(made.tokens) == {128}


def test_what_is_measured_is_counted_by_the_model() -> None:
    calls: list[Sequence[Input]] = []

    async def embed(inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        assert options.prompt == ""
        calls.append(inputs)
        await asyncio.sleep(0.02)
        count = len(inputs)
        return Embeddings(
            vectors=np.zeros((count, 2), np.float32),
            tokens=(7,) * count,
            truncated=(False,) * count,
            timings=Timings(),
        )

    result = measure(embed, Workload("16", 16, 512))

    assert result.texts == len(calls[-1]) > len(calls[0])
    assert result.tokens == 7 * result.texts
    assert result.texts_per_s * result.seconds == pytest.approx(result.texts)
