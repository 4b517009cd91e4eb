"""What the user wants of a model beside what its files say: a default prompt, shorter inputs."""

from __future__ import annotations

import logging
from dataclasses import replace

from textmill.checkpoint.recipe import Recipe
from textmill.config import ModelOptions
from textmill.errors import ConfigInvalid

_log = logging.getLogger(__name__)


def prompted(recipe: Recipe, options: ModelOptions) -> Recipe:
    """The recipe with the default prompt of the options. Raises ConfigInvalid for the name of one that the model does not have."""
    if options.default_prompt is not None:
        return replace(recipe, default_prompt_name=None, own_prompt=options.default_prompt)
    name = options.default_prompt_name
    if name is None:
        return recipe
    if name not in recipe.prompts:
        known = ", ".join(sorted(recipe.prompts)) or "none"
        msg = f"default_prompt_name is {name!r}, but the prompts of {recipe.folder} are: {known}"
        raise ConfigInvalid(msg)
    return replace(recipe, default_prompt_name=name)


def bounded(recipe: Recipe, options: ModelOptions) -> Recipe:
    """The recipe with inputs as short as the options have them. The log says where they are shorter than what is asked for."""
    asked = options.max_seq_length
    if asked is not None and asked > recipe.max_tokens:
        _log.warning(
            "%s takes %d tokens at most, so inputs are cut there and not at %d", recipe.folder, recipe.max_tokens, asked
        )
    limit = options.max_input_length
    if limit is None or limit >= recipe.max_tokens:
        return recipe
    _log.warning("%s takes %d tokens, but inputs are kept to %d", recipe.folder, recipe.max_tokens, limit)
    return replace(recipe, max_tokens=limit)
