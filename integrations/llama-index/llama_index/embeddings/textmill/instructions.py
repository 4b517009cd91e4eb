"""What stands before a query or a document: the caller's instruction, the model's own prompt, or the one that LlamaIndex puts there."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Side: TypeAlias = Literal["query", "document"]
PromptPolicy: TypeAlias = Literal["model", "llamaindex"]
"""``model``: the model's own prompts. ``llamaindex``: those that HuggingFaceEmbedding puts there, which are none for most models."""

_BGE = {
    f"BAAI/bge-{size}-{language}{version}"
    for size in ("small", "base", "large")
    for language in ("en", "zh")
    for version in ("", "-v1.5")
}
_INSTRUCTOR = {f"{owner}/instructor-{size}" for owner in ("hku-nlp", "hkunlp") for size in ("base", "large", "xl")}

# Their English wording says "question" where BAAI's own says "sentence"; with theirs the vectors are those of an index that they made.
_OF_BGE = {
    "en": "Represent this question for searching relevant passages: ",
    "zh": "为这个句子生成表示以用于检索相关文章：",  # noqa: RUF001 - the colon is Chinese
}
_OF_INSTRUCTOR: dict[Side, str] = {
    "query": "Represent the question for retrieving supporting documents: ",
    "document": "Represent the document for retrieval: ",
}


def of_llamaindex(model_name: str, side: Side) -> str:
    """What HuggingFaceEmbedding (llama-index-embeddings-huggingface 0.8) puts before texts of a side for a model of that hub id."""
    if model_name in _INSTRUCTOR:
        return _OF_INSTRUCTOR[side]
    if model_name in _BGE and side == "query":
        return _OF_BGE["zh" if "-zh" in model_name else "en"]
    return ""


def prompt_of(side: Side, instruction: str | None, policy: PromptPolicy, model_name: str) -> dict[str, Any]:
    """The keywords of `textmill.Model.embed` for texts of a side. An instruction counts before all else, and an empty one is none."""
    if instruction is not None:
        return {"prompt": instruction}
    return {"prompt": of_llamaindex(model_name, side)} if policy == "llamaindex" else {"kind": side}
