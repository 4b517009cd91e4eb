"""Models that make a vector of each token: ColBERT in the layouts of Stanford, PyLate and sentence-transformers."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from textmill.arch.heads import Dense, Head, LayerNorm, Normalize
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Expansion, Kind, MultiFacts
from textmill.checkpoint.modules import class_name, read_token_heads
from textmill.checkpoint.source import Source
from textmill.errors import ModelBroken

_LENGTH = 32
"""Tokens that ColBERT expands queries to where no file says."""


def read_multivector(source: Source) -> Kind | None:
    """A late-interaction model in one of the three layouts; None for any other."""
    if source.trained_as == "HF_ColBERT":
        return _stanford(source)
    kind = source.model.get("model_type", str, "")
    if kind not in ("ColBERT", "MultiVectorEncoder") and not _is_pylate(source):
        return None
    heads, mask = _heads(source)
    facts = _facts(source, mask, ended=isinstance(heads[-1], Normalize) if heads else False)
    kept = [head for head in heads if not isinstance(head, Normalize)]
    folders = tuple(head.name.rpartition(".")[0] for head in kept if isinstance(head, Dense | LayerNorm))
    return Kind(outputs={"multi": tuple(kept), "tokens": ()}, head_folders=folders, multi=facts)


def _stanford(source: Source) -> Kind:
    """The original layout: `linear.weight` among the encoder's tensors, and settings in artifact.metadata."""
    file = JsonFile.read_if_there(source.folder / "artifact.metadata")
    length = file.get("query_maxlen", int, _LENGTH)
    facts = MultiFacts(
        query_prefix=file.get("query_token_id", str, "[unused0]") + " ",
        document_prefix=file.get("doc_token_id", str, "[unused1]") + " ",
        prefix_is_token=True,
        document_length=file.get("doc_maxlen", int, 0) or None,
        expansion=Expansion(length, file.get("attend_to_mask_tokens", bool, default=False)),
        skip=tuple(string.punctuation) if file.get("mask_punctuation", bool, default=True) else (),
    )
    return Kind(outputs={"multi": (Dense("linear"),), "tokens": ()}, multi=facts)


def _is_pylate(source: Source) -> bool:
    return any(module.kind.startswith("pylate.") for module in source.modules)


def _heads(source: Source) -> tuple[Sequence[Head], JsonFile | None]:
    """The heads behind the Transformer, for each token, and the settings of a MultiVectorMask."""
    masks = [module for module in source.modules if class_name(module, source.folder) == "MultiVectorMask"]
    others = [module for module in source.modules if module not in masks]
    mask = JsonFile.read_if_there(source.folder / masks[0].path / "config.json") if masks else None
    return read_token_heads(source.folder, others, source.parsed.hidden_size), mask


def _facts(source: Source, mask: JsonFile | None, *, ended: bool) -> MultiFacts:
    """The settings, from the newest place that has them: the mask's and the Transformer's own files, then PyLate's keys."""
    settings, model = source.settings, source.model
    old = _is_old(source)
    prompts = JsonFile(model.path, model.get("prompts", dict, {}))
    words = model.get("skiplist_words", list, list(string.punctuation) if old else [])
    sides: Any = ["document"]
    if mask is not None and "skiplist_words" in mask.data:
        words = mask.get("skiplist_words", list, [])
    if mask is not None:
        sides = mask.data.get("skiplist_tasks") or sides
    return MultiFacts(
        query_prefix=model.get("query_prefix", str, prompts.get("query", str, "")),
        document_prefix=model.get("document_prefix", str, prompts.get("document", str, "")),
        prefix_is_token=old,
        query_length=_length(settings, model, "query_length"),
        document_length=_length(settings, model, "document_length"),
        expansion=_expansion(settings, model, old=old),
        skip=tuple(map(str, words)),
        skip_sides=(sides,) if isinstance(sides, str) else tuple(sides),
        keep_ids=tuple(mask.get("keep_only_token_ids", list, [])) if mask is not None else (),
        # PyLate before version 4 saved no Normalize, and always normalised.
        normalize=ended or model.get("model_type", str, "") == "ColBERT" or _is_pylate(source),
    )


def _is_old(source: Source) -> bool:
    """Whether PyLate wrote the folder, whose prefixes are tokens and whose defaults are ColBERT's."""
    keys = ("query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens")
    return source.model.get("model_type", str, "") == "ColBERT" or any(key in source.model.data for key in keys)


def _length(settings: JsonFile, model: JsonFile, key: str) -> int | None:
    return settings.get(key, int, 0) or model.get(key, int, 0) or None


def _expansion(settings: JsonFile, model: JsonFile, *, old: bool) -> Expansion | None:
    stated = settings if "query_expansion" in settings.data else model
    if "query_expansion" in stated.data:
        inner = stated.get("query_expansion", dict, {})
        if not inner:
            return None
        file = JsonFile(stated.path, inner)
        strategy = file.get("strategy", str, "fixed")
        if strategy not in ("fixed", "min"):
            msg = f"{stated.path}: query_expansion.strategy is {strategy!r}; it must be 'fixed' or 'min'"
            raise ModelBroken(msg)
        token = file.get("token", str, "") or None
        return Expansion(file.size("length"), file.get("attend", bool, default=False), strategy == "fixed", token)
    if not old or not model.get("do_query_expansion", bool, default=True):
        return None
    attend = model.get("attend_to_expansion_tokens", bool, default=False)
    return Expansion(model.get("query_length", int, _LENGTH), attend)
