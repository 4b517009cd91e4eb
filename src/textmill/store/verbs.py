"""The verbs of a loaded model: its tasks by name, made from what its recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypedDict, TypeVar

from textmill.arch.heads import Output
from textmill.checkpoint.pairs import Pairs
from textmill.checkpoint.recipe import Recipe
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Task
from textmill.errors import WrongTask
from textmill.tasks.classify import Classifier
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.entities import TokenClassifier
from textmill.tasks.rerank import CrossEncoder, Reranks
from textmill.tasks.texts import TextProfile
from textmill.tasks.tokens import TokenEmbedder
from textmill.tasks.zero_shot import ZeroShotClassifier, entailment

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What makes the calls of each verb; None for a verb that the model does not have."""

    embed: Embedder | None = None
    embed_tokens: TokenEmbedder | None = None
    classify: Classifier | None = None
    classify_tokens: TokenClassifier | None = None
    classify_zero_shot: ZeroShotClassifier | None = None
    rerank: Reranks | None = None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The verbs that the model has."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)  # type: ignore[misc]  # the fields are tasks

    def need(self, verb: V | None, name: Task) -> V:
        """The verb, by its name for messages; raises WrongTask where the model does not have it."""
        if verb is None:
            msg = f"this model cannot {name}; it can {', '.join(self.tasks)}"
            raise WrongTask(msg)
        return verb


def make_verbs(recipe: Recipe, tokenizer: Tokenizer, widths: Mapping[Output, int], labels: tuple[str, ...]) -> Verbs:
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
    )
    return Verbs(
        embed=Embedder(tokenizer, texts, embed) if "dense" in widths else None,
        embed_tokens=TokenEmbedder(tokenizer, texts) if "tokens" in widths else None,
        **_scoring_verbs(recipe, tokenizer, texts, labels),
    )


class _ScoringVerbs(TypedDict, total=False):
    classify: Classifier
    classify_tokens: TokenClassifier
    classify_zero_shot: ZeroShotClassifier
    rerank: Reranks


def _scoring_verbs(recipe: Recipe, tokenizer: Tokenizer, texts: TextProfile, labels: tuple[str, ...]) -> _ScoringVerbs:
    """The verbs of a model with classes: a single one can rank too, and with one for entailment it can judge any label."""
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
