"""Classifying, ranking, entities and labels of the caller's, beside transformers' pipelines and CrossEncoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer

from textmill.checkpoint.recipe import read_recipe
from textmill.checkpoint.source import Ask
from textmill.contract import Entity, Input, Pair, Ranked, Scoring, TextOptions
from textmill.errors import ConfigInvalid, EmptyInput, InvalidInput, ModelBroken, WrongTask
from textmill.store.load import load
from textmill.store.model import Model
from textmill.testing.checkpoints import tiny_bert, write_json
from textmill.testing.tokenizers import bert_tokenizer, qwen3_tokenizer

POSITIONS = 64
TOLERANCE = 1e-5
WORDS = [
    "the",
    "river",
    "stone",
    "sentence",
    "text",
    "query",
    "world",
    "Ümlaut",
    "unrest",
    "é",
    "dog",
    "house",
    "",
    ",",
    ".",
    "zz",
]
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "unk")}
NLI = ("contradiction", "neutral", "entailment")
QUERY = "where does the river end"

Make = Callable[..., Path]


def texts_of(count: int, longest: int, seed: int = 0) -> list[str]:
    """An empty text, and others of up to that many words: some are longer than the model."""
    rng = np.random.default_rng(seed)
    return ["", *(" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count - 1))]


TEXTS = texts_of(24, 90)


def model_of(folder: Path, name: str, tokenizer: Tokenizer, special: dict[str, str], **config: Any) -> Path:
    """A tiny model of transformers' class of that name, from a seed, with weights that tell inputs apart."""
    cls = getattr(transformers, name)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    words = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": POSITIONS, "pad_token_id": 0}
    torch.manual_seed(0)
    cls(cls.config_class(**sizes, **words, initializer_range=0.3, **config)).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a tiny BERT with one of transformers' heads for these labels."""

    def made(head: str, labels: Sequence[str], **config: Any) -> Path:
        names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        return model_of(tmp_path / "model", f"BertFor{head}", bert_tokenizer(), SPECIAL, **names, **config)

    return made


def loaded(folder: Path, **options: Any) -> Model:
    return load(str(folder), dtype="float32", threads=1, **options)


def in_order(ranking: list[Ranked]) -> npt.NDArray[np.float64]:
    return np.array([each.score for each in sorted(ranking, key=lambda each: each.index)])


def pipeline(task: str, folder: Path, **options: Any) -> Any:
    made: Any = transformers.pipeline(task, model=str(folder), device="cpu", **options)
    return made


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("layout", ["transformers", "CrossEncoder"])
@pytest.mark.parametrize("query", [QUERY, QUERY * 8, "stone " * 30])
def test_a_ranking_has_the_scores_of_cross_encoder(
    query: str, layout: str, backend: str, make: Make, tmp_path: Path
) -> None:
    folder = make("SequenceClassification", ["LABEL_0"])
    reference = CrossEncoder(str(folder), device="cpu")
    if layout == "CrossEncoder":
        folder = tmp_path / "saved"
        reference.save_pretrained(str(folder))
    pairs = [(query, text) for text in TEXTS]
    raw = reference.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    with loaded(folder, backend=backend) as model:
        assert model.info.tasks == ("classify", "rerank")
        assert model.info.labels == ("LABEL_0",)
        np.testing.assert_allclose(in_order(model.rerank(query, TEXTS, scoring="raw")), raw, atol=TOLERANCE)
        ranking = model.rerank(query, TEXTS, top=5)
        shares = reference.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
        assert [each.index for each in ranking] == np.argsort(-shares, kind="stable")[:5].tolist()
        assert [each.text for each in ranking] == [TEXTS[each.index] for each in ranking]
        alone = [in_order(model.rerank(query, [text], scoring="raw")) for text in TEXTS[:4]]
        np.testing.assert_allclose(np.concatenate(alone), raw[:4], atol=TOLERANCE)
        scored = [next(iter(scores.values())) for scores in model.classify(pairs)]
        np.testing.assert_allclose(scored, shares, atol=TOLERANCE)


def test_a_decoder_with_a_score_ranks_pairs_as_cross_encoder_does(tmp_path: Path) -> None:
    special = {"pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    more = {"num_key_value_heads": 2, "head_dim": 8, "num_labels": 1}
    folder = tmp_path / "model"
    model_of(folder, "Qwen3ForSequenceClassification", qwen3_tokenizer(), special, **more)
    # Without a padding token the reference reads the last one, of a row at a time; else it passes over those that end texts.
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | {"pad_token_id": None})
    reference = CrossEncoder(str(folder), device="cpu")
    texts = texts_of(8, 5)
    raw = [reference[0].model(**reference.preprocess([("stone", text)])).logits[0, 0].item() for text in texts]
    with loaded(folder) as model:
        got = in_order(model.rerank("stone", texts, scoring="raw"))
    np.testing.assert_allclose(got, raw, atol=TOLERANCE)


def test_a_prompt_stands_before_the_query(make: Make, tmp_path: Path) -> None:
    reference = CrossEncoder(str(make("SequenceClassification", ["relevant"])), device="cpu")
    reference.prompts = {"ask": "query: "}
    reference.default_prompt_name = "ask"
    reference.save_pretrained(str(tmp_path / "saved"))
    wanted = reference.predict([(QUERY, text) for text in TEXTS[:6]], show_progress_bar=False)
    with loaded(tmp_path / "saved") as model:
        np.testing.assert_allclose(in_order(model.rerank(QUERY, TEXTS[:6])), wanted, atol=TOLERANCE)


@pytest.mark.parametrize("problem", [None, "multi_label_classification", "single_label_classification", "regression"])
@pytest.mark.parametrize("count", [1, 3])
def test_labels_have_the_scores_of_the_pipeline(count: int, problem: str | None, make: Make) -> None:
    if (count, problem) == (1, "single_label_classification"):
        problem = None  # which has no meaning
    folder = make("SequenceClassification", ["a", "b", "c"][:count], problem_type=problem)
    wanted = pipeline("text-classification", folder, top_k=None, truncation=True)(TEXTS)
    with loaded(folder) as model:
        made = model.classify(TEXTS)
    for scores, reference in zip(made, wanted, strict=True):
        assert list(scores) == [each["label"] for each in reference]
        assert list(scores.values()) == pytest.approx([each["score"] for each in reference], abs=TOLERANCE)


async def test_pairs_texts_and_ids_may_stand_in_one_call_and_on_a_loop(make: Make) -> None:
    with loaded(make("SequenceClassification", ["a", "b"])) as model:
        inputs: list[Input | Pair] = ["river", ("river", "the stone"), [2, 7, 3]]
        together = model.classify(inputs, scoring="raw")
        apart = [model.classify([each], scoring="raw")[0] for each in inputs]
        awaited = await model.aclassify(inputs, scoring="raw")
    for one, two, three in zip(together, apart, awaited, strict=True):
        assert one == pytest.approx(two, abs=TOLERANCE)
        assert one == pytest.approx(three, abs=TOLERANCE)
    assert together[0] != together[1]


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid", "raw"])
def test_a_call_may_say_how_scores_are_made(scoring: Scoring, make: Make) -> None:
    with loaded(make("SequenceClassification", ["a", "b"])) as model:
        raw = model.classify(["river"], scoring="raw")[0]
        made = model.classify(["river"], scoring=scoring)[0]
    logits = np.array([raw["a"], raw["b"]])
    shares = np.exp(logits) / np.exp(logits).sum()
    wanted = {"softmax": shares, "sigmoid": 1 / (1 + np.exp(-logits)), "raw": logits}[scoring]
    assert [made["a"], made["b"]] == pytest.approx(wanted.tolist(), abs=TOLERANCE)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_entities_are_those_of_the_pipeline(backend: str, make: Make) -> None:
    folder = make("TokenClassification", ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"])
    reference = pipeline("token-classification", folder, aggregation_strategy="simple")
    with loaded(folder, backend=backend) as model:
        assert model.info.tasks == ("classify_tokens",)
        made = model.classify_tokens(TEXTS)
    assert made[0] == []
    for text, entities in zip(TEXTS[1:], made[1:], strict=True):
        wanted = [(each["entity_group"], each["start"], each["end"]) for each in reference(text)]
        assert [(each.label, each.start, each.end) for each in entities] == wanted
        assert [each.score for each in entities] == pytest.approx(
            [each["score"] for each in reference(text)], abs=TOLERANCE
        )
        assert [each.text for each in entities] == [text[each.start : each.end] for each in entities]


async def test_what_is_cut_off_has_no_entities_and_the_answer_says_so(make: Make) -> None:
    with loaded(make("TokenClassification", ["A", "B"])) as model:
        long = "river " * 900 + "stone " * 900
        answer = await model.classify_tokens_inputs(["river", long], TextOptions())
        left = await model.classify_tokens_inputs([long], TextOptions(truncate_side="left"))
        assert await model.aclassify_tokens("river") == [list(answer.entities[0])]
        with pytest.raises(InvalidInput, match="input 0 has"):
            model.classify_tokens([long], truncate=False)
    assert answer.truncated == (False, True)
    assert answer.tokens == (3, POSITIONS)
    assert answer.entities[1][-1].end == 6 * (POSITIONS - 2) - 1
    assert (left.entities[0][0].start, left.entities[0][-1].end) == (len(long) - 6 * (POSITIONS - 2), len(long) - 1)


async def test_a_prompt_has_no_entities(make: Make) -> None:
    with loaded(make("TokenClassification", ["A", "B"])) as model:
        answer = await model.classify_tokens_inputs(["river stone"], TextOptions(prompt="query: "))
    entities: tuple[Entity, ...] = answer.entities[0]
    assert (entities[0].start, entities[-1].end) == (0, len("river stone"))


@pytest.mark.parametrize("labels", [NLI, NLI[::-1], ("ENTAILMENT", "not_entailment")])
@pytest.mark.parametrize("options", [{"multi_label": False}, {"multi_label": True}])
@pytest.mark.parametrize("choices", [["river", "dog house", "world"], ["river"]])
def test_labels_of_the_callers_have_the_scores_of_the_pipeline(
    choices: list[str], options: dict[str, bool], labels: tuple[str, ...], make: Make
) -> None:
    folder = make("SequenceClassification", labels)
    hypothesis = "It is about {}, they say."
    reference = pipeline("zero-shot-classification", folder)
    with loaded(folder) as model:
        assert "classify_zero_shot" in model.info.tasks
        made = model.classify_zero_shot(TEXTS[1:], choices, hypothesis=hypothesis, **options)
    for text, scores in zip(TEXTS[1:], made, strict=True):
        wanted = reference(text, choices, hypothesis_template=hypothesis, **options)
        assert scores == pytest.approx(dict(zip(wanted["labels"], wanted["scores"], strict=True)), abs=TOLERANCE)


async def test_the_answer_counts_the_tokens_of_all_hypotheses(make: Make) -> None:
    with loaded(make("SequenceClassification", NLI)) as model:
        one = await model.aclassify_zero_shot("river", ["dog", "house"])
        assert one == [pytest.approx(model.classify_zero_shot(["river"], ["dog", "house"])[0], abs=TOLERANCE)]
        with pytest.raises(EmptyInput, match="no labels"):
            model.classify_zero_shot(["river"], [])
        with pytest.raises(InvalidInput, match="the label 'dog' is given twice"):
            model.classify_zero_shot(["river"], ["dog", "house", "dog"])
        with pytest.raises(InvalidInput, match="no place for a label"):
            model.classify_zero_shot(["river"], ["dog"], hypothesis="This example.")
        for labels, message in (
            (["dog", "dog " * 80], "label 1 in its hypothesis has 90 tokens, but the model has room for 61"),
            (["dog", "dog " * 51], "label 1 in its hypothesis has 61 tokens, but the model has room for 61"),
            (["dog", "\ud800"], "label 1 has a lone surrogate"),
            (["dog", 3], "label 1 is the number 3"),
            (["dog", None], "label 1 is None, but must be a text"),
            (None, "the labels are None"),
        ):
            for truncate in (True, False):
                with pytest.raises(InvalidInput, match=message) as told:
                    model.classify_zero_shot(["river"], labels, truncate=truncate)  # type: ignore[arg-type]  # what is tested
                assert (told.value.param, told.value.index) == ("labels", None)


def test_a_verb_that_the_model_lacks_names_those_it_has(make: Make) -> None:
    with loaded(make("SequenceClassification", ["a", "b"])) as model:
        with pytest.raises(WrongTask, match="cannot rerank; it can classify"):
            model.rerank(QUERY, TEXTS)
        with pytest.raises(WrongTask, match="cannot embed"):
            model.embed("river")
        with pytest.raises(WrongTask, match="cannot classify_zero_shot"):
            model.classify_zero_shot("river", ["dog"])


def test_wrong_arguments_are_refused_before_anything_is_computed(make: Make) -> None:
    with loaded(make("SequenceClassification", ["a"])) as model:
        with pytest.raises(InvalidInput, match="top is 0"):
            model.rerank(QUERY, TEXTS, top=0)
        with pytest.raises(InvalidInput, match="softmax"):
            model.rerank(QUERY, TEXTS, scoring="softmax")
        with pytest.raises(InvalidInput, match="takes no instruction"):
            model.rerank(QUERY, TEXTS, instruction="find rivers")
        with pytest.raises(InvalidInput, match="input 1 has"):
            model.rerank(QUERY, ["a", "stone " * 99], truncate=False)
        for query, message in (
            ("\ud800", "the query has a lone surrogate"),
            ("stone " * 99, "the query has 99 tokens, but the model has room for 61"),
            ("stone" * 9999, "the query has 49995 characters"),
        ):
            with pytest.raises(InvalidInput, match=message) as told:
                model.rerank(query, TEXTS, truncate=False)
            assert (told.value.param, told.value.index) == ("query", None)
        assert model.rerank(QUERY, []) == []
        assert model.classify([]) == []


LABELS: list[tuple[dict[str, Any], str]] = [
    (
        {"id2label": {"0": "a", "1": "b", "2": "c"}},
        r"has 3 labels .* but its classifier.weight tensor makes 2",
    ),
    ({"id2label": {"0": "a", "2": "b"}}, "id2label has 2 labels, but none with the index 1"),
    ({"id2label": None, "label2id": {"a": 0, "b": 3}}, "label2id has 2 labels, but none with the index 1"),
    ({"id2label": None, "label2id": None, "num_labels": 5}, "has 5 labels"),
    ({"problem_type": "guessing"}, "problem_type 'guessing' is unknown"),
    ({"id2label": {"0": "a", "1": "a"}}, "id2label gives the label 'a' to both 0 and 1"),
    ({"id2label": ["a", "b"]}, "id2label must be an object"),
]


@pytest.mark.parametrize(("changes", "message"), LABELS)
def test_labels_that_do_not_fit_the_head_are_refused(changes: dict[str, Any], message: str, make: Make) -> None:
    folder = make("SequenceClassification", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | changes)
    with pytest.raises(ModelBroken, match=message):
        loaded(folder)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"id2label": None, "label2id": None}, ("LABEL_0", "LABEL_1")),
        ({"id2label": None, "label2id": {"yes": 1, "no": 0}}, ("no", "yes")),
        ({"id2label": {"1": "yes", "0": 7}, "label2id": None}, ("7", "yes")),
    ],
)
def test_labels_are_found_wherever_they_are(changes: dict[str, Any], labels: tuple[str, ...], make: Make) -> None:
    folder = make("SequenceClassification", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | changes)
    with loaded(folder) as model:
        assert model.info.labels == labels


def test_the_task_that_the_user_wants_comes_before_the_files(make: Make) -> None:
    folder = make("SequenceClassification", ["a"])
    with loaded(folder, task="embed", pooling="cls") as model:
        assert model.info.tasks[0] == "embed"
        assert (model.info.pooling, model.embed(["river"]).shape) == ("cls", (1, 32))
    with pytest.raises(ConfigInvalid, match="task is 'rerank'"):
        loaded(tiny_bert(folder.parent / "embeds"), task="rerank")


def test_an_embedding_model_may_have_been_saved_as_a_classifier(make: Make) -> None:
    """As gte-multilingual-base is, of a class for tokens and without labels."""
    folder = make("TokenClassification", ["a", "b"])
    config = json.loads((folder / "config.json").read_text())
    nameless = config | {"architectures": ["NewForTokenClassification"], "id2label": None, "label2id": None}
    write_json(folder / "config.json", nameless)
    assert "dense" in read_recipe(folder).outputs
    assert "token_logits" in read_recipe(folder, Ask(task="classify_tokens")).outputs
    write_json(folder / "config.json", nameless | {"id2label": {"0": "a", "1": "b"}})
    assert "token_logits" in read_recipe(folder).outputs
