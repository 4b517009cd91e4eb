"""The commands that write an object for each line of text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import load_file, save_file

from textmill.store.load import load
from textmill.testing.checkpoints import tiny_bert, write_json

Command = Callable[..., Result]

TEXTS = ["the river and the stone", "", "hello world"]
LINES = "".join(f"{text}\n" for text in TEXTS).encode()


def model_of(folder: Path, head: str, shapes: dict[str, tuple[int, ...]], **config: Any) -> str:
    """A tiny BERT of transformers with one of its heads, whose tensors have these shapes."""
    tiny_bert(folder)
    (folder / "modules.json").unlink()
    rng = np.random.default_rng(5)
    made = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    known = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(known | made, folder / "model.safetensors")
    settings = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", settings | {"architectures": [f"BertFor{head}"], **config})
    return str(folder)


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("splade") / "model"
    size = len(json.loads((tiny_bert(folder) / "tokenizer.json").read_text())["model"]["vocab"])
    head = "cls.predictions"
    shapes: dict[str, tuple[int, ...]] = {f"{head}.bias": (size,), f"{head}.transform.dense.weight": (32, 32)}
    shapes |= {f"{head}.transform.{name}": (32,) for name in ("dense.bias", "LayerNorm.weight", "LayerNorm.bias")}
    return model_of(folder, "MaskedLM", shapes)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    labels = {"0": "joy", "1": "anger"}
    shapes: dict[str, tuple[int, ...]] = {"classifier.weight": (2, 32), "classifier.bias": (2,)}
    return model_of(tmp_path_factory.mktemp("classes") / "model", "SequenceClassification", shapes, id2label=labels)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> str:
    shapes: dict[str, tuple[int, ...]] = {"classifier.weight": (1, 32), "classifier.bias": (1,)}
    folder = tmp_path_factory.mktemp("ranks") / "model"
    return model_of(folder, "SequenceClassification", shapes, id2label={"0": "LABEL_0"})


def records(result: Result) -> list[dict[str, Any]]:
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_sparse_vectors_are_indices_and_values_by_line(command: Command, splade: str) -> None:
    made = records(command("embed-sparse", splade, "--pooling", "splade", stdin=LINES))

    with load(splade, pooling="splade") as model:
        expected = model.embed_sparse(TEXTS)
    assert [line["index"] for line in made] == [0, 1, 2]
    assert [line["indices"] for line in made] == [vector.indices.tolist() for vector in expected]
    for line, vector in zip(made, expected, strict=True):
        np.testing.assert_allclose(line["values"], vector.values, rtol=1e-2)


def test_the_largest_weights_are_kept(command: Command, splade: str) -> None:
    made = records(command("embed-sparse", splade, "--pooling", "splade", "--top", "2", stdin=LINES))

    assert [len(line["indices"]) for line in made] == [2, 2, 2]


def test_states_of_tokens_are_one_vector_a_token(command: Command, tiny: str) -> None:
    made = records(command("embed-tokens", tiny, stdin=LINES))

    assert [np.array(line["embeddings"]).shape for line in made] == [(7, 32), (2, 32), (4, 32)]


def test_classes_come_best_first(command: Command, classifier: str) -> None:
    made = records(command("classify", classifier, stdin=LINES))

    assert [sorted(line["scores"]) for line in made] == [["anger", "joy"]] * 3
    assert all(list(line["scores"].values()) == sorted(line["scores"].values(), reverse=True) for line in made)


def test_a_ranking_has_index_score_and_text(command: Command, reranker: str) -> None:
    made = records(command("rerank", reranker, "where is the river", "--top", "2", stdin=LINES))

    assert [list(line) for line in made] == [["index", "score", "text"]] * 2
    assert all(line["text"] == TEXTS[line["index"]] for line in made)
    assert made[0]["score"] >= made[1]["score"]


def test_chunks_have_their_places(command: Command, tiny: str) -> None:
    made = records(command("embed-chunks", tiny, "--window", "5", stdin=LINES))

    assert [(chunk["start"], chunk["end"], chunk["tokens"]) for chunk in made[0]["chunks"]] == [(0, 13, 3), (14, 23, 2)]
    assert np.array([chunk["embedding"] for chunk in made[0]["chunks"]]).shape == (2, 32)


def test_chunks_by_late_chunking_know_their_surroundings(command: Command, tiny: str) -> None:
    late = records(command("embed-chunks", tiny, "--window", "5", "--late", stdin=LINES))
    alone = records(command("embed-chunks", tiny, "--window", "5", stdin=LINES))

    first, second = (np.array(made[0]["chunks"][0]["embedding"]) for made in (late, alone))
    assert np.abs(first - second).max() > 0.01


def test_a_model_that_cannot_embed_in_three_ways_says_so(command: Command, tiny: str) -> None:
    result = command("embed-hybrid", tiny, stdin=LINES)

    assert result.exit_code == 1
    assert "cannot embed_hybrid" in result.stderr
