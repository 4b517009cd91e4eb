"""Rerankers that are language models: asked whether a text is relevant, they answer by the scores of two words."""

from __future__ import annotations

import re

from tokenizers import Tokenizer

from textmill.arch.families import heads_of
from textmill.arch.heads import Dense, Pooling, Vocabulary
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Kind, Question
from textmill.checkpoint.lfs import refuse_pointer
from textmill.checkpoint.modules import class_name
from textmill.checkpoint.source import Source
from textmill.errors import ModelBroken

QWEN3 = Question(
    before=(
        (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
            'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        ),
        "<Instruct>: {instruction}\n<Query>: {query}\n<Document>:",
    ),
    text=" {text}",
    after=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    instruction="Given a web search query, retrieve relevant passages that answer the query",
    yes="yes",
    no="no",
)
"""Qwen3-Reranker (Zhang et al., 2025, arXiv:2506.05176)."""

MXBAI = Question(
    before=(
        (
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n"
        ),
        "{instruction}query: {query}",
        "\n",
    ),
    text="document: {text}",
    after=(
        "\n",
        (
            "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, "
            "carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not "
            "relevant, 1 for relevant).\nRelevance:"
        ),
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    instruction="",
    around_instruction="instruction: {instruction}\n",
    yes="1",
    no="0",
)
"""mxbai-rerank-v2."""

BGE = Question(
    before=("<bos>", "A: {query}", "\n"),
    text="B: {text}",
    after=(
        "\n",
        (
            "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
            "prediction of either 'Yes' or 'No'."
        ),
    ),
    instruction=None,
    yes="Yes",
    no=None,
)
"""bge-reranker-v2-gemma."""

_BY_FAMILY = {
    "qwen3": (QWEN3, "Qwen3-Reranker"),
    "qwen2": (MXBAI, "mxbai-rerank"),
    "gemma": (BGE, "bge-reranker-v2-gemma"),
}
"""The question of a family's reranker, and what is in the names of those that are asked it."""
_NAME = re.compile("rerank", re.IGNORECASE)
_PATH_PARTS = 4
"""How much of a folder's path may name the model: the hub's cache has it three folders above the files."""
_TEMPLATE = 20_000
"""Characters of a chat template that are looked at: the search takes time by a power of them, and real ones have fewer."""
_BLANK = re.compile(r"\{(instruction|query|text)\}")


def read_question(source: Source) -> Kind | None:
    """A causal language model that is a reranker: by its modules.json, by its name, or because the user says so.

    Raises ModelBroken for one that is asked in a way that textmill does not know.
    """
    scored = [module for module in source.modules if class_name(module, source.folder) == "LogitScore"]
    causal = source.trained_as.endswith("ForCausalLM")
    wanted = source.ask.task == "rerank" or (source.ask.task is None and _named(source, _NAME.pattern))
    if not scored and not (causal and wanted):
        return None
    question = _question(source)
    ids = _stated(source, scored[0].path) if scored else _known(source, question)
    head = next(
        head.name for head in heads_of(source.architecture, source.parsed, "language_model") if isinstance(head, Dense)
    )
    return Kind(outputs={"logits": (Pooling(("lasttoken",)), Vocabulary(head, ids))}, question=question)


def _named(source: Source, name: str) -> bool:
    parts = source.folder.resolve().parts[-_PATH_PARTS:]
    return any(re.search(name, part.replace("_", "-"), re.IGNORECASE) for part in parts)


def _question(source: Source) -> Question:
    """The family's question where the user or the model's name asks for it, or the one that its chat template spells out.

    Other rerankers share these families, and scores that come of another's question would look like any.
    """
    family = source.config.require("model_type", str)
    question, name = _BY_FAMILY.get(family, (None, ""))
    if question is not None and (source.ask.task == "rerank" or _named(source, name)):
        return question
    template = chat_template(source)
    for known, _ in _BY_FAMILY.values():
        if _spelled(known).search(template):
            return known
    hint = f"; with the task set to rerank it is asked as {name} is" if name else ""
    msg = (
        f"{source.config.path}: how to ask this {family} model for relevance is not known; textmill knows it of "
        f"{', '.join(name for _, name in _BY_FAMILY.values())}, and of chat templates like theirs{hint}"
    )
    raise ModelBroken(msg)


def chat_template(source: Source) -> str:
    """The chat template as text, which is compared and never run; empty where there is none."""
    path = source.inside / "chat_template.jinja"
    stored = source.tokenizer.data.get("chat_template")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else stored
    return text[:_TEMPLATE].replace("\\n", "\n") if isinstance(text, str) else ""


def _spelled(question: Question) -> re.Pattern[str]:
    """What a chat template that asks this question looks like, with an expression where something is filled in."""
    parts = [part for part in (*question.before, question.text, *question.after) if part != "<bos>"]
    pieces = _BLANK.split("".join(parts))
    blanks = {"instruction": ".*?"}
    pattern = "".join(
        blanks.get(piece, r"\{\{.*?\}\}") if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
    )
    return re.compile(pattern, re.DOTALL)


def _stated(source: Source, path: str) -> tuple[int, ...]:
    """The words' ids from the settings of a LogitScore module."""
    file = JsonFile.read(source.folder / path / "config.json")
    yes = file.require("true_token_id", int)
    no = file.data.get("false_token_id")
    return (yes,) if no is None else (yes, file.require("false_token_id", int))


def _known(source: Source, question: Question) -> tuple[int, ...]:
    """The ids of each word's first token, as the models' authors take them; raises ModelBroken where one has none."""
    path = source.inside / "tokenizer.json"
    if not path.is_file():
        msg = f"{source.inside} has no tokenizer.json"
        raise ModelBroken(msg)
    refuse_pointer(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no other class
        msg = f"{path} cannot be read by the tokenizers library: {error}"
        raise ModelBroken(msg) from error
    ids = []
    for word in (question.yes, question.no):
        if word is None:
            continue
        made = tokenizer.encode(word, add_special_tokens=False).ids
        if not made:
            msg = f"{path} has no token for the answer {word!r}"
            raise ModelBroken(msg)
        ids.append(made[0])
    return tuple(ids)
