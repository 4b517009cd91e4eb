"""Scores of pairs beside sentence-transformers' own class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch  # noqa: TID253 - the reference runs on it

import textmill
from textmill.compat import CrossEncoder
from textmill.errors import ConfigInvalid, WrongTask
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3
from textmill.testing.heads import tiny_classifier, tiny_reranker

QUERY = "where does the river end"
TEXTS = ["in the sea", "", "a stone", "the house by the river " * 40, "zz"]
PAIRS = [(QUERY, text) for text in TEXTS]


def told_apart(folder: Path) -> Path:
    """The folder as transformers writes it: its tokenizer says that the two texts of a pair are told apart, and how long they may be."""
    (folder / "sentence_bert_config.json").unlink()
    path = folder / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_input_names": names}))
    return folder


@pytest.fixture(scope="module", params=["one label", "three labels"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CrossEncoder, Any]]:
    folder = tmp_path_factory.mktemp("compat") / "tiny"
    told_apart((tiny_reranker if request.param == "one label" else tiny_classifier)(folder))
    with CrossEncoder(folder) as ours:
        yield ours, sentence_transformers.CrossEncoder(str(folder), device="cpu")


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"apply_softmax": True},
        {"activation_fn": torch.nn.Identity()},
        {"activation_fn": torch.nn.Sigmoid()},
        {"activation_fn": torch.nn.Tanh()},
        {"activation_fct": torch.nn.Softmax(dim=-1)},
        {"convert_to_tensor": True},
        {"show_progress_bar": True, "batch_size": 1, "num_workers": 0},
        {"prompt": "judge: "},
        {"processing_kwargs": {}},
    ],
    ids=range(10),  # a function prints its address, which is another in each of pytest's workers
)
def test_scores_are_those_of_sentence_transformers(both: tuple[CrossEncoder, Any], keywords: dict[str, Any]) -> None:
    ours, theirs = both
    mine, reference = ours.predict(PAIRS, **keywords), theirs.predict([list(pair) for pair in PAIRS], **keywords)

    assert type(mine) is type(reference)
    assert mine.shape == reference.shape
    np.testing.assert_allclose(np.asarray(mine), np.asarray(reference), atol=1e-5)
    single = ours.predict(PAIRS[0], **keywords)
    assert single.shape == reference[0].shape
    assert ours.num_labels == theirs.num_labels


def test_documents_are_ranked_as_by_sentence_transformers(both: tuple[CrossEncoder, Any]) -> None:
    ours, theirs = both
    if ours.num_labels != 1:
        with pytest.raises(ValueError, match="rank needs a model with one label"):
            ours.rank(QUERY, TEXTS)
        return
    mine, reference = (model.rank(QUERY, TEXTS, top_k=3, return_documents=True) for model in (ours, theirs))

    assert [(each["corpus_id"], each["text"]) for each in mine] == [
        (each["corpus_id"], each["text"]) for each in reference
    ]
    assert [each["score"] for each in mine] == pytest.approx([each["score"] for each in reference], abs=1e-5)
    assert set(ours.rank(QUERY, TEXTS)[0]) == {"corpus_id", "score"}
    assert ours.rank(QUERY, []) == []


@pytest.mark.parametrize("name", ["torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"])
def test_the_activation_of_the_files_is_taken(tmp_path: Path, name: str) -> None:
    folder = told_apart(tiny_reranker(tmp_path / "tiny"))
    theirs = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    theirs.activation_fn = getattr(torch.nn, name.rpartition(".")[2])()
    theirs.save_pretrained(str(tmp_path / "saved"))
    with CrossEncoder(tmp_path / "saved") as ours:
        assert ours.activation_fn == name.rpartition(".")[2]
        np.testing.assert_allclose(ours.predict(PAIRS), theirs.predict([list(pair) for pair in PAIRS]), atol=1e-5)


def test_a_length_cuts_as_in_sentence_transformers(tmp_path: Path) -> None:
    folder = told_apart(tiny_reranker(tmp_path / "tiny"))
    theirs = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=20)
    with CrossEncoder(folder, max_length=20) as ours:
        assert ours.max_length == theirs.max_seq_length == 20
        np.testing.assert_allclose(ours.predict(PAIRS), theirs.predict([list(pair) for pair in PAIRS]), atol=1e-5)


def test_arguments_are_taken_as_by_older_releases(tmp_path: Path) -> None:
    folder = told_apart(tiny_reranker(tmp_path / "tiny"))
    with CrossEncoder(folder, 1, 20, "Identity", "cpu") as ours:
        assert (ours.num_labels, ours.max_length, ours.default_activation_function) == (1, 20, "Identity")
    with CrossEncoder(model_name=folder, tokenizer_args={"model_max_length": 9}) as ours:
        assert ours.max_length == 9
    with pytest.raises(TypeError, match="give the others by their names"):
        CrossEncoder(folder, 1, 20, None, "cpu", "more")


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with CrossEncoder(tiny_reranker(tmp_path / "tiny")) as model:
        assert model.predict([]).shape == (0,)
        with pytest.raises(ValueError, match="but must be two texts"):
            model.predict([("a", "b"), ("a",)])
        with pytest.raises(ValueError, match="predict takes no 'colour'"):
            model.predict(PAIRS, colour=1)
        with pytest.raises(ValueError, match="there is one text, 'ab', where pairs"):
            model.predict("ab")
        with pytest.raises(TypeError, match="activation_fn is 3"):
            model.predict(PAIRS, activation_fn=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigInvalid, match="num_labels is 3, and the model scores 1"):
        CrossEncoder(tmp_path / "tiny", num_labels=3)
    with pytest.raises(WrongTask, match="reads no pairs of texts"):
        CrossEncoder(tiny_bert(tmp_path / "plain"))


def test_a_reranker_that_is_asked_scores_pairs_of_several_queries(tmp_path: Path) -> None:
    folder = tiny_qwen3(tmp_path / "Qwen3-Reranker-tiny", positions=1024)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    pairs = [("one", "a"), ("two", "b"), ("one", "c")]
    with textmill.load(str(folder), dtype="float32") as model, CrossEncoder(folder) as ours:
        assert ours.num_labels == 1
        for prompt in (None, "Judge."):
            wanted = [model.rerank(query, [text], instruction=prompt)[0].score for query, text in pairs]
            np.testing.assert_allclose(ours.predict(pairs, prompt=prompt), np.array(wanted), atol=1e-5)
