"""The verbs of a loaded model: its tasks by name, made from what its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar, get_args

from textmill.arch.heads import Output, Pooling
from textmill.checkpoint.pairs import Pairs
from textmill.checkpoint.recipe import Recipe
from textmill.checkpoint.tensors import open_tensors
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import USUAL, EmbedDefaults, Task
from textmill.errors import ModelBroken, WrongTask
from textmill.tasks.ask import Asker
from textmill.tasks.chunks import ChunkEmbedder
from textmill.tasks.classify import Classifier
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.entities import TokenClassifier
from textmill.tasks.hybrid import HybridEmbedder
from textmill.tasks.multivector import MaxSimReranker, MultiEmbedder
from textmill.tasks.rerank import CrossEncoder, Reranks
from textmill.tasks.sparse import QueryTable, SparseEmbedder
from textmill.tasks.texts import TextProfile
from textmill.tasks.tokenize import Reader
from textmill.tasks.tokens import TokenEmbedder
from textmill.tasks.zero_shot import ZeroShotClassifier, entailment

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What makes the calls of each verb; None for a verb that the model does not have. All can ``read``."""

    read: Reader
    embed: Embedder | None = None
    embed_chunks: ChunkEmbedder | None = None
    embed_sparse: SparseEmbedder | None = None
    embed_multi: MultiEmbedder | None = None
    embed_hybrid: HybridEmbedder | None = None
    embed_tokens: TokenEmbedder | None = None
    classify: Classifier | None = None
    classify_tokens: TokenClassifier | None = None
    classify_zero_shot: ZeroShotClassifier | None = None
    rerank: Reranks | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The verbs that the model has."""
        return tuple(name for name in get_args(Task) if getattr(self, name, None) is not None)

    def need(self, verb: V | None, name: Task) -> V:
        """The verb, by its name for messages; raises WrongTask where the model does not have it."""
        if verb is None:
            msg = f"this model cannot {name}; it can {', '.join(self.tasks)}"
            raise WrongTask(msg)
        return verb


def make_verbs(
    recipe: Recipe,
    tokenizer: Tokenizer,
    widths: Mapping[Output, int],
    labels: tuple[str, ...],
    defaults: EmbedDefaults = USUAL,
) -> Verbs:
    """The verbs of a model whose outputs have these widths; ``labels`` are its classes, none where it has none."""
    texts = TextProfile(
        prompts=recipe.prompts,
        default_prompt=recipe.default_prompt,
        max_tokens=recipe.max_tokens,
        truncate_side=recipe.truncate_side,
    )
    embed = EmbedProfile(
        dimensions=widths.get("dense", 0),
        include_prompt=all(getattr(head, "include_prompt", True) for head in recipe.outputs.get("dense", ())),
        default_dimensions=recipe.truncate_dimensions,
        adapters=recipe.adapters,
        default_adapter=recipe.default_prompt_name if recipe.default_prompt_name in recipe.adapters else None,
        features=widths.get("tokens", 0),
        defaults=defaults,
    )
    dense = Embedder(tokenizer, texts, embed) if "dense" in recipe.outputs else None
    sparse, multi = _sparse(recipe, tokenizer, texts), _multi(recipe, tokenizer, texts)
    return Verbs(
        read=Reader(tokenizer, texts),
        embed=dense,
        embed_chunks=ChunkEmbedder(tokenizer, texts, dense, late=_pools_by_mean(recipe)) if dense else None,
        embed_sparse=sparse,
        embed_multi=multi,
        embed_hybrid=HybridEmbedder(dense, multi, tokenizer.special_ids) if dense and sparse and multi else None,
        embed_tokens=TokenEmbedder(tokenizer, texts) if "tokens" in widths else None,
        **_scoring_verbs(recipe, tokenizer, texts, labels, multi),
    )


class _ScoringVerbs(TypedDict, total=False):
    classify: Classifier
    classify_tokens: TokenClassifier
    classify_zero_shot: ZeroShotClassifier
    rerank: Reranks


def _scoring_verbs(
    recipe: Recipe, tokenizer: Tokenizer, texts: TextProfile, labels: tuple[str, ...], multi: MultiEmbedder | None
) -> _ScoringVerbs:
    """Verbs by classes: with a single one a model can rank too, with one for entailment it can judge any label.

    A model for late interaction ranks by that.
    """
    if multi is not None:
        return {"rerank": MaxSimReranker(multi)}
    if recipe.kind.question is not None:
        plain = Tokenizer(recipe.transformer_folder, vocabulary=recipe.vocabulary, special=False)
        return {"rerank": Asker(plain, texts, recipe.kind.question)}
    classes = recipe.kind.classes
    if classes is None:
        return {}
    if "token_logits" in recipe.outputs:
        return {"classify_tokens": TokenClassifier(tokenizer, texts, labels)}
    pairs = Pairs(tokenizer, max_tokens=recipe.max_tokens, segments=recipe.segments)
    verbs: _ScoringVerbs = {"classify": Classifier(tokenizer, pairs, texts, labels, classes.score(len(labels)))}
    if len(labels) == 1:
        verbs["rerank"] = CrossEncoder(tokenizer, pairs, texts)
    if (judged := entailment(labels)) is not None:
        verbs["classify_zero_shot"] = ZeroShotClassifier(tokenizer, pairs, texts, judged)
    return verbs


def _pools_by_mean(recipe: Recipe) -> bool:
    """Whether a dense vector is the mean of token states and nothing more, and the states can be had."""
    heads = recipe.outputs["dense"]
    return (
        "tokens" in recipe.outputs and len(heads) == 1 and isinstance(heads[0], Pooling) and heads[0].modes == ("mean",)
    )


def _sparse(recipe: Recipe, tokenizer: Tokenizer, texts: TextProfile) -> SparseEmbedder | None:
    facts = recipe.kind.sparse
    if facts is None:
        return None
    output: Output = "sparse" if "sparse" in recipe.outputs else "lexical"
    table = None if facts.static_queries is None else _query_table(facts.static_queries, recipe)
    return SparseEmbedder(tokenizer, texts, output, recipe.vocabulary, table)


def _multi(recipe: Recipe, tokenizer: Tokenizer, texts: TextProfile) -> MultiEmbedder | None:
    return None if recipe.kind.multi is None else MultiEmbedder(tokenizer, texts, recipe.kind.multi)


def _query_table(folder: Path, recipe: Recipe) -> QueryTable:
    """The weights of a SparseStaticEmbedding; raises ModelBroken where they are not one for each entry of the vocabulary."""
    tensors = open_tensors(folder)
    tensor = tensors.get("weight")
    if tensor is None or tensor.shape != (recipe.vocabulary,) or tensor.dtype != "float32":
        found = "none" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"
        msg = f"{folder} needs a float32 tensor weight of shape ({recipe.vocabulary},); it has {found}"
        raise ModelBroken(msg)
    return QueryTable(Tokenizer(folder, vocabulary=recipe.vocabulary, special=False), tensor.data)
