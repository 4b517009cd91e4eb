"""Which kind of model a folder holds: the outputs that it has, and what the tasks need to know of them.

Each kind has a reader, which gives None where the folder is of another kind; the first that gives one decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import cast, get_args

from textmill.arch.heads import Dense, Head, LayerNorm, Normalize, Output, Pooling
from textmill.arch.ops import Pool
from textmill.checkpoint.asking import chat_template, read_question
from textmill.checkpoint.classes import read_classes
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Kind
from textmill.checkpoint.lexical import read_bge_m3
from textmill.checkpoint.modules import MODULES, read_heads
from textmill.checkpoint.multivector import read_multivector
from textmill.checkpoint.source import Source
from textmill.checkpoint.sparse import read_splade
from textmill.errors import ModelBroken

_log = logging.getLogger(__name__)

_PLAIN = ", of texts as they are: sentence-transformers 6 would put each into the chat template first"


def read_kind(source: Source) -> Kind:
    """The kind of a model; raises ModelBroken, naming the file, for what textmill does not run."""
    _refuse_answers(source)
    for read in _READERS:
        kind = read(source)
        if kind is not None:
            if kind.classes is not None and source.ask.pooling is not None:
                _log.warning("%s classifies, and pools as its own head does: pooling is ignored", source.folder)
            return kind
    msg = f"{source.folder} holds no kind of model that textmill runs"
    raise ModelBroken(msg)


def _refuse_answers(source: Source) -> None:
    """Raise ModelBroken for a model that marks the answer to a question in a text: embedding is not what it was trained for."""
    if "ForQuestionAnswering" in source.trained_as and not source.modules and source.artefact is None:
        msg = (
            f"{source.config.path}: a {source.trained_as} marks answers in texts, which textmill does not do; it embeds, ranks and "
            "classifies, so take a model that was trained for one of these"
        )
        raise ModelBroken(msg)


def _dense(source: Source) -> Kind:
    """A model of sentence-transformers that pools, or any bare encoder."""
    _expect_embedding(source.settings)
    kind = source.model.get("model_type", str, "SentenceTransformer")
    if kind != "SentenceTransformer":
        msg = f"{source.model.path}: model_type is {kind}; textmill embeds with models of type SentenceTransformer"
        raise ModelBroken(msg)
    if source.modules:
        heads = read_heads(source.folder, list(source.modules), source.parsed.hidden_size)
    else:
        heads = _default_heads(source)
        _log.warning(
            "%s has no %s: its token states are pooled as sentence-transformers does by default%s",
            source.folder,
            MODULES,
            _PLAIN if chat_template(source) else "",
        )
    kept = [_asked(head, source) for head in heads]
    normalized = isinstance(kept[-1], Normalize)
    while isinstance(kept[-1], Normalize):
        kept.pop()
    folders = tuple(head.name.rpartition(".")[0] for head in kept if isinstance(head, Dense | LayerNorm))
    outputs: dict[Output, tuple[Head, ...]] = {"dense": tuple(kept), "tokens": ()}
    return read_bge_m3(source, Kind(outputs=outputs, head_folders=folders, normalized=normalized))


def _asked(head: Head, source: Source) -> Head:
    """The pooling that the user wants instead of the files' own."""
    if not isinstance(head, Pooling) or source.ask.pooling is None:
        return head
    if source.ask.pooling not in get_args(Pool):
        msg = f"{source.config.path}: pooling {source.ask.pooling!r} needs a model with a masked language model's head"
        raise ModelBroken(msg)
    return replace(head, modes=(cast("Pool", source.ask.pooling),))


def _default_heads(source: Source) -> tuple[Head, ...]:
    """Mean pooling; the last token for a causal language model, as sentence-transformers 6 does."""
    causal = source.trained_as.endswith("ForCausalLM") and source.config.get("is_causal", bool, default=True)
    return (Pooling(("lasttoken",) if causal else ("mean",)),)


def _expect_embedding(settings: JsonFile) -> None:
    """Raise ModelBroken for a setting of the Transformer module that changes more than lengths."""
    _expect(settings, "transformer_task", "feature-extraction")
    _expect(settings, "module_output_name", "token_embeddings")
    modalities = settings.get("modality_config", dict, {"text": {}})
    text = JsonFile(settings.path, modalities).require("text", dict)
    _expect(JsonFile(settings.path, text), "method", "forward")
    _expect(JsonFile(settings.path, text), "method_output_name", "last_hidden_state")
    if "message" in modalities:
        msg = (
            f"{settings.path}: modality_config has 'message', so every text goes through the chat template, which textmill does not do "
            "for embeddings yet; without that entry texts are embedded as they are, which gives other vectors"
        )
        raise ModelBroken(msg)
    for key in ("processing_kwargs", "query_expansion", "query_length", "document_length"):
        if settings.data.get(key):
            msg = f"{settings.path}: {key} is not something that textmill runs yet"
            raise ModelBroken(msg)


def _expect(file: JsonFile, key: str, wanted: str) -> None:
    value = file.get(key, str, wanted)
    if value != wanted:
        msg = f"{file.path}: {key} is {value!r}; textmill embeds with {wanted!r} only"
        raise ModelBroken(msg)


_READERS: tuple[Callable[[Source], Kind | None], ...] = (
    read_classes,
    read_question,
    read_splade,
    read_multivector,
    _dense,
)
