"""The fingerprint: whether vectors of one model may be mixed with those of another, and what to say where they may not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from textmill.checkpoint.recipe import Recipe
from textmill.contract import USUAL, EmbedDefaults, ModelInfo
from textmill.errors import ConfigInvalid
from textmill.runtimes.plans import VERSION as CALIBRATION

_DIGITS = 16
_DTYPES = ("float32", "bfloat16", "float16", "int8")


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """What a fingerprint covers: the files of a model, ``weights`` being the hash of its weights, and how it runs.

    Not the runtime, nor the machine: those give the same vectors but for the rounding of ``dtype``.
    """

    recipe: Recipe
    weights: str
    dtype: str
    defaults: EmbedDefaults = USUAL

    def __str__(self) -> str:
        """16 hex digits over everything that a vector depends on, apart from the options of a call."""
        recipe, defaults = self.recipe, self.defaults
        own = (defaults.norm, defaults.pooling, defaults.half_life if defaults.pooling == "decayed_mean" else None)
        facts = {
            "weights": self.weights,
            "tokenizers": [_hash(folder / "tokenizer.json") for folder in _tokenizers(recipe)],
            "config": dict(recipe.config),
            "kind": _plain(recipe.kind),
            "max_tokens": recipe.max_tokens,
            "dimensions": recipe.truncate_dimensions,
            "side": recipe.truncate_side,
            "lowercase": recipe.lowercase,
            "segments": recipe.segments,
            "prompts": dict(recipe.prompts),
            "prompt": (recipe.default_prompt, recipe.default_prompt_name),
            "dtype": f"int8 {CALIBRATION}" if self.dtype == "int8" else self.dtype,
            "defaults": None if own == (USUAL.norm, USUAL.pooling, None) else own,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_DIGITS]

    def difference(self, expected: str) -> str:
        """How the model has to run to have another fingerprint, in a few words; empty where that is not enough."""
        for words, other in self._others():
            if str(other) == expected:
                return ", ".join(words)
        return ""

    def _others(self) -> Iterator[tuple[Sequence[str], Fingerprinted]]:
        """The model as it could run as well, and what is different then."""
        recipe = self.recipe
        named = [(f"the default prompt {name!r}", replace(recipe, default_prompt_name=name)) for name in recipe.prompts]
        recipes = [("", recipe), ("no default prompt", replace(recipe, own_prompt="")), *named]
        recipes += (
            [("its files' own prompt", replace(recipe, own_prompt=None))] if recipe.own_prompt is not None else []
        )
        defaults = [("", self.defaults), ("the usual pooling and norm", USUAL)]
        dtypes = [("", self.dtype), *((f"dtype {name}", name) for name in _DTYPES if name != self.dtype)]
        for dtype, prompt, default in product(dtypes, recipes, defaults):
            words = [each for each, _ in (dtype, prompt, default) if each]
            yield words, replace(self, dtype=dtype[1], recipe=prompt[1], defaults=default[1])


def expect_fingerprint(expected: Iterable[str], info: ModelInfo, files: Fingerprinted | None = None) -> None:
    """Refuse a model that has another fingerprint than those ``expected``: each as NAME=FINGERPRINT, or without a name for all others.

    Raises ConfigInvalid, which has both, and what is different where the model's ``files`` tell.
    """
    names = {info.name, info.source, *info.aliases}
    stated = [each.rpartition("=") for each in expected]
    mine = [wanted for name, _, wanted in stated if name in names] or [wanted for name, _, wanted in stated if not name]
    if not mine or info.fingerprint in mine:
        return
    why = next((words for wanted in mine if files is not None and (words := files.difference(wanted))), "")
    way = f"this model has it with {why}" if why else "other weights, tokenizer, configuration or options were meant"
    msg = (
        f"{info.name} has the fingerprint {info.fingerprint}, and {' or '.join(mine)} is expected: {way}; "
        "its vectors must not be mixed with those of that one"
    )
    raise ConfigInvalid(msg)


def _tokenizers(recipe: Recipe) -> Iterator[Path]:
    yield recipe.transformer_folder
    if recipe.kind.sparse is not None and recipe.kind.sparse.static_queries is not None:
        yield recipe.kind.sparse.static_queries


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _plain(value: Any) -> Any:
    """A value for JSON.

    Of dataclasses only what is not the default, so that a new field changes nothing for what has no use for it, and nothing that is
    left out of their repr, since no vector depends on that; of paths nothing, since the same files are the same model wherever they lie.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kept = {
            each.name: _plain(getattr(value, each.name))
            for each in fields(value)
            if each.repr and not _usual(value, each)
        }
        return {"is": type(value).__name__, **kept}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, Path) else value


def _usual(value: Any, field: Any) -> bool:
    return bool(field.default is not MISSING and getattr(value, field.name) == field.default)
