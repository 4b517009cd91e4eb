"""The verbs of a loaded model: its tasks by name, made from what its recipe says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

from textmill.checkpoint.recipe import Recipe
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Task
from textmill.errors import WrongTask
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.texts import TextProfile
from textmill.tasks.tokens import TokenEmbedder

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """What makes the calls of each verb; None for a verb that the model does not have."""

    embed: Embedder | None = None
    embed_tokens: TokenEmbedder | None = None

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


def make_verbs(recipe: Recipe, tokenizer: Tokenizer, dimensions: int) -> Verbs:
    """The verbs of a model; ``dimensions`` is the width of its dense vectors, 0 where it has none."""
    texts = TextProfile(
        prompts=recipe.prompts,
        default_prompt=recipe.default_prompt,
        max_tokens=recipe.max_tokens,
        truncate_side=recipe.truncate_side,
    )
    embed = EmbedProfile(
        dimensions=dimensions,
        include_prompt=all(getattr(head, "include_prompt", True) for head in recipe.outputs.get("dense", ())),
        default_dimensions=recipe.truncate_dimensions,
        adapters=recipe.adapters,
    )
    return Verbs(
        embed=Embedder(tokenizer, texts, embed) if "dense" in recipe.outputs else None,
        embed_tokens=TokenEmbedder(tokenizer, texts) if "tokens" in recipe.outputs else None,
    )
