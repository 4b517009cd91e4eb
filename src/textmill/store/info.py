"""What a loaded model says about itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textmill.checkpoint.hub import PACKAGED, Location
from textmill.checkpoint.recipe import Recipe
from textmill.contract import USUAL, EmbedDefaults, ModelInfo, Task
from textmill.runtimes.runtime import Facts


@dataclass(frozen=True, slots=True)
class Served:
    """How a model is served: what it is called, the bounds of its batches, and how many threads tokenise for it."""

    name: str
    batch_tokens: int
    batch_rows: int
    tokenization_workers: int


def describe(
    location: Location,
    recipe: Recipe,
    tasks: tuple[Task, ...],
    labels: tuple[str, ...],
    dimensions: int,
    facts: Facts,
    *,
    fingerprint: str,
    served: Served,
    around: tuple[int, ...] = (),
    defaults: EmbedDefaults = USUAL,
) -> ModelInfo:
    """The info of a model; ``dimensions`` is 0 where it has no dense vectors."""
    return ModelInfo(
        name=served.name,
        aliases=_aliases(location, served.name),
        source=location.source,
        revision=location.revision,
        architecture=recipe.architecture,
        tasks=tasks,
        labels=labels,
        pooling=recipe.pooling if defaults.pooling == "own" else defaults.pooling,
        dimensions=recipe.truncate_dimensions or dimensions,
        max_tokens=recipe.max_tokens,
        vocabulary=recipe.vocabulary,
        prompts=tuple(recipe.prompts),
        default_prompt=recipe.default_prompt_name,
        runtime=facts.runtime,
        device=facts.device,
        dtype=facts.dtype,
        int8_cosine=facts.cosine,
        threads=facts.threads,
        batch_tokens=served.batch_tokens,
        batch_rows=served.batch_rows,
        tokenization_workers=served.tokenization_workers,
        fingerprint=fingerprint,
        created=int(time.time()),
        defaults=defaults,
        normalized=recipe.kind.normalized,
        around=around,
    )


def _aliases(location: Location, called: str) -> tuple[str, ...]:
    """Other names for the model: its own, where it came from, and both names of one that a package carries."""
    names = [location.name, location.source]
    for name, packaged in PACKAGED.items():
        if location.name in (name, packaged.repo):
            names += [name, packaged.repo]
    return tuple(dict.fromkeys(name for name in names if name != called))
