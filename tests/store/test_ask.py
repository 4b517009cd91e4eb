"""Rerankers that are language models, beside transformers with the questions of their model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from tokenizers import AddedToken, Tokenizer

from textmill.checkpoint.asking import BGE, MXBAI, QWEN3
from textmill.checkpoint.kind import Question
from textmill.checkpoint.recipe import read_recipe
from textmill.checkpoint.source import Ask
from textmill.errors import InvalidInput, ModelBroken
from textmill.store.load import load
from textmill.testing.checkpoints import write_json
from textmill.testing.tokenizers import qwen3_tokenizer

QUERY = "where does the river end?"
TEXTS = ["The river ends in the sea.", "", " A stone.", "!", "hello world\nand more"]
FAMILIES = {"qwen3": ("Qwen3", ("y", "n")), "qwen2": ("Qwen2", ("1", "0")), "gemma": ("Gemma", ("Y",))}
NAMES = {"qwen3": "Qwen3-Reranker-tiny", "qwen2": "mxbai-rerank-tiny-v2", "gemma": "bge-reranker-v2-gemma"}


def tokenizer() -> Tokenizer:
    made = qwen3_tokenizer()
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<bos>", "<|im_end|>")])
    return made


def folder_of(parent: Path, family: str, **more: Any) -> Path:
    """A tiny causal language model whose name says that it ranks."""
    folder = parent / NAMES[family]
    folder.mkdir()
    name = FAMILIES[family][0]
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    words = {"vocab_size": tokenizer().get_vocab_size(), "max_position_embeddings": 2048, "pad_token_id": 0}
    config = getattr(transformers, f"{name}Config")(num_key_value_heads=2, **sizes, **words, **more)
    torch.manual_seed(1)
    getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    return folder


def question(family: str, query: str, text: str, instruction: str | None = None) -> list[list[int]]:
    """The tokens of a question, part by part as the model's own code makes them."""
    parts = {
        "qwen3": [
            (
                "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
                'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
            ),
            "<Instruct>: "
            + (instruction or "Given a web search query, retrieve relevant passages that answer the query")
            + f"\n<Query>: {query}\n<Document>: {text}",
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ],
        "qwen2": [
            (
                "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
                "<|im_start|>user\n"
            ),
            (f"instruction: {instruction}\n" if instruction else "") + f"query: {query}",
            "\n",
            f"document: {text}",
            "\n",
            (
                "You are a search relevance expert who evaluates how well documents match search queries. For each "
                "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
                "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
            ),
            "<|im_end|>\n<|im_start|>assistant\n",
        ],
        "gemma": [
            "<bos>",
            f"A: {query}",
            "\n",
            f"B: {text}",
            "\n",
            (
                "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
                "a prediction of either 'Yes' or 'No'."
            ),
        ],
    }
    return [tokenizer().encode(part, add_special_tokens=False).ids for part in parts[family]]


def expected(folder: Path, family: str, parts: list[list[int]]) -> float:
    ids = [i for part in parts for i in part]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
    answers = [logits[tokenizer().token_to_id(word)] for word in FAMILIES[family][1]]
    return float(answers[0] - answers[1]) if len(answers) > 1 else float(answers[0])


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_models_own_question(family: str, backend: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, family)
    wanted = [expected(folder, family, question(family, QUERY, text)) for text in TEXTS]
    with load(str(folder), dtype="float32", threads=1, backend=backend) as model:
        assert model.info.tasks == ("rerank",)
        raw = {each.index: each.score for each in model.rerank(QUERY, TEXTS, scoring="raw")}
        shares = {each.index: each.score for each in model.rerank(QUERY, TEXTS)}
    np.testing.assert_allclose([raw[index] for index in range(len(TEXTS))], wanted, atol=1e-5)
    chances = 1 / (1 + np.exp(-np.array(wanted)))
    np.testing.assert_allclose([shares[index] for index in range(len(TEXTS))], chances, atol=1e-5)


@pytest.mark.parametrize("family", ["qwen3", "qwen2"])
def test_an_instruction_takes_its_place_in_the_question(family: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, family)
    wanted = expected(folder, family, question(family, QUERY, TEXTS[0], "Find rivers"))
    with load(str(folder), dtype="float32", threads=1) as model:
        (made,) = model.rerank(QUERY, TEXTS[:1], scoring="raw", instruction="Find rivers")
    assert made.score == pytest.approx(wanted, abs=1e-5)


def test_only_the_text_is_cut(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "gemma")
    parts = question("gemma", QUERY, "stone " * 400)
    parts[3] = parts[3][: 1024 - sum(map(len, parts)) + len(parts[3])]
    with load(str(folder), dtype="float32", threads=1) as model:
        (made,) = model.rerank(QUERY, ["stone " * 400], scoring="raw")
        assert made.score == pytest.approx(expected(folder, "gemma", parts), abs=1e-5)
        with pytest.raises(InvalidInput, match="beside the question there is room for"):
            model.rerank(QUERY, ["stone " * 400], truncate=False)
        with pytest.raises(InvalidInput, match="takes no instruction"):
            model.rerank(QUERY, TEXTS, instruction="Find rivers")
        with pytest.raises(InvalidInput, match="the query and its question have"):
            model.rerank("river " * 300, TEXTS)
        with pytest.raises(InvalidInput, match="the query has a lone surrogate") as told:
            model.rerank("\ud800", TEXTS)
        assert (told.value.param, told.value.index) == ("query", None)


def test_an_instruction_that_is_no_text_is_blamed_as_such(tmp_path: Path) -> None:
    with (
        load(str(folder_of(tmp_path, "qwen3")), dtype="float32", threads=1) as model,
        pytest.raises(InvalidInput, match="the instruction has a lone surrogate") as told,
    ):
        model.rerank(QUERY, TEXTS, instruction="\ud800")
    assert told.value.param == "instruction"


def test_a_language_model_ranks_where_its_name_or_the_user_says_so(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "qwen3")
    plain = folder.rename(tmp_path / "plain")
    assert set(read_recipe(plain).outputs) == {"dense", "tokens"}
    assert set(read_recipe(plain, Ask(task="rerank")).outputs) == {"logits"}


def logit_score(folder: Path, template: str | None) -> Path:
    """The folder as sentence-transformers has rerankers that are language models."""
    kinds = {"": "base.modules.transformer.Transformer", "1_LogitScore": "cross_encoder.modules.logit_score.LogitScore"}
    entries = [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in kinds.items()]
    write_json(folder / "modules.json", entries)
    write_json(folder / "1_LogitScore" / "config.json", {"true_token_id": 7, "false_token_id": None})
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize(("family", "known"), [("qwen3", QWEN3), ("qwen2", MXBAI), ("gemma", BGE)])
def test_a_logit_score_module_names_the_answers_and_its_chat_template_the_question(
    family: str, known: Question, tmp_path: Path
) -> None:
    parts = [*known.before, known.text, *known.after]
    text = "".join(part.replace("{instruction}", "{{ task }}") for part in parts if part != "<bos>")
    template = text.replace("{query}", "{{ messages[0].content }}").replace("{text}", "{{ messages[1].content }}")
    folder = logit_score(folder_of(tmp_path, family).rename(tmp_path / "plain"), "{%- set task = 'x' -%}" + template)
    kind = read_recipe(folder).kind
    assert kind.question is known
    assert kind.outputs["logits"][-1].ids == (7,)  # type: ignore[union-attr]


@pytest.mark.parametrize("template", [None, "<|im_start|>system\n{{ query }}<|im_end|>\n{{ document }}"])
def test_a_question_that_is_not_known_is_refused_unless_the_user_wants_the_familys(
    template: str | None, tmp_path: Path
) -> None:
    folder = logit_score(folder_of(tmp_path, "qwen3").rename(tmp_path / "zerank"), template)
    with pytest.raises(ModelBroken, match="with the task set to rerank it is asked as Qwen3-Reranker is"):
        read_recipe(folder)
    assert read_recipe(folder, Ask(task="rerank")).kind.question is QWEN3


def test_a_chat_template_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = logit_score(folder_of(tmp_path, "qwen3").rename(tmp_path / "zerank"), None)
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe{{ messages }}")
    with pytest.raises(ModelBroken, match="how to ask this qwen3 model for relevance is not known"):
        read_recipe(folder)


def test_a_reranker_of_another_name_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "qwen3").rename(tmp_path / "other-rerank-v2")
    with pytest.raises(ModelBroken, match="how to ask this qwen3 model for relevance is not known"):
        read_recipe(folder)
    assert "dense" in read_recipe(folder, Ask(task="embed")).outputs


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "qwen3")
    transformers.LlamaForCausalLM(
        transformers.LlamaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    ).save_pretrained(folder)
    with pytest.raises(ModelBroken, match="how to ask this llama model for relevance is not known"):
        read_recipe(folder)
