"""Which architecture a config.json means.

An architecture is a module with

- ``Config``, a frozen dataclass of the keys of config.json that matter. Beside them it has ``vocab_size``, ``hidden_size`` (the
  width of its token states) and ``positions``: the entries of its table of absolute positions, or None where they are
  computed. It refuses what the module does not run.
- ``OPTIONAL``, the beginnings of names of tensors that its checkpoints may have and that its heads may leave unread.
- ``sanitize(config, tensors)``, the tensors by the names that ``forward`` reads.
- ``forward(ops, config, weights, inputs)``, the token states.
- ``BIASED``, where it is true: all layers of its heads have a bias.
- where it has them, ``classifier(config)``, ``token_classifier(config)`` and ``language_model(config)``: the heads from the
  token states to scores of classes for each row and each token, and of the vocabulary for each token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

from textmill.arch.heads import Dense, Head, LayerNorm
from textmill.errors import ModelBroken

ARCHITECTURES = {
    "albert": "albert",
    "bert": "bert",
    "camembert": "roberta",
    "deberta-v2": "deberta_v2",
    "distilbert": "distilbert",
    "electra": "electra",
    "eurobert": "eurobert",
    "gemma": "gemma",
    "gemma3_text": "gemma3",
    "gte": "gte",
    "jina_embeddings_v3": "jina_embeddings_v3",
    "llama": "llama",
    "llama_bidirec": "llama",
    "mistral": "mistral",
    "modernbert": "modernbert",
    "mpnet": "mpnet",
    "mt5": "t5",
    "new": "gte",
    "nomic_bert": "nomic_bert",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "roberta": "roberta",
    "static": "static",
    "t5": "t5",
    "umt5": "t5",
    "xlm-roberta": "roberta",
}
"""`model_type` of config.json to the module in this room."""

OWN_CODE: Mapping[tuple[str, str], str] = {
    ("qwen2", "Qwen2ForCausalLM"): "qwen2",
    ("qwen2", "Qwen2ForSequenceClassification"): "qwen2",
    ("qwen2", "Qwen2Model"): "qwen2",
    ("bert", "jinaai/jina-bert-implementation"): "jina_bert",
    ("bert", "jinaai/jina-bert-v2-qk-post-norm"): "jina_code",
    ("eurobert", "EuroBertForMaskedLM"): "eurobert",
    ("eurobert", "EuroBertForSequenceClassification"): "eurobert",
    ("eurobert", "EuroBertForTokenClassification"): "eurobert",
    ("eurobert", "EuroBertModel"): "eurobert",
    ("gte", "GteModel"): "gte",
    ("new", "Alibaba-NLP/new-impl"): "gte",
    ("new", "NewForMaskedLM"): "gte",
    ("new", "NewForSequenceClassification"): "gte",
    ("new", "NewForTokenClassification"): "gte",
    ("new", "NewModel"): "gte",
    ("nomic_bert", "NomicBertForPreTraining"): "nomic_bert",
    ("nomic_bert", "NomicBertForSequenceClassification"): "nomic_bert",
    ("nomic_bert", "NomicBertModel"): "nomic_bert",
    ("nomic_bert", "nomic-ai/nomic-bert-2048"): "nomic_bert",
    ("xlm-roberta", "XLMRobertaLoRA"): "jina_embeddings_v3",
    ("xlm-roberta", "XLMRobertaModel"): "jina_embeddings_v3",
    ("xlm-roberta", "jinaai/xlm-roberta-flash-implementation"): "jina_embeddings_v3",
}
"""Models of repositories with code of their own, written anew here: `model_type` and what auto_map says, to the module.

auto_map has `owner/name--file.Class` or, within the repository that has the code, `file.Class`; a key here is the model_type
with either `owner/name` or `Class`. Where auto_map names no model, the repository of AutoConfig or `_name_or_path` counts.
"""


def architecture(config: Mapping[str, Any]) -> ModuleType:
    """The module for a config.json; raises ModelBroken with the families that textmill runs."""
    family = config.get("model_type")
    name = _own_code(config) or (ARCHITECTURES.get(family) if isinstance(family, str) else None)
    if name is None:
        known = ", ".join(sorted(ARCHITECTURES))
        msg = (
            f"config.json says model_type {family!r}, which textmill does not run; it runs {known}. "
            "textmill never runs code from a model repository."
        )
        raise ModelBroken(msg)
    return import_module(f"textmill.arch.{name}")


def heads_of(module: ModuleType, config: Any, kind: str) -> tuple[Head, ...]:
    """What an architecture's ``classifier``, ``token_classifier`` or ``language_model`` gives.

    Raises ModelBroken where it has none.
    """
    make = getattr(module, kind, None)
    if make is None:
        name = module.__name__.rpartition(".")[2]
        msg = f"textmill has no {kind.replace('_', ' ')} head for the architecture {name}"
        raise ModelBroken(msg)
    heads: tuple[Head, ...] = make(config)
    if getattr(module, "BIASED", False):
        return tuple(replace(head, biased=True) if isinstance(head, Dense | LayerNorm) else head for head in heads)
    return heads


def _own_code(config: Mapping[str, Any]) -> str | None:
    """The module for a repository's own model class; raises ModelBroken for one that is not known here.

    Such a repository can bear a known model_type and still compute something else.
    """
    mapped = config.get("auto_map")
    classes = dict(mapped) if isinstance(mapped, Mapping) else {}
    configuration = classes.pop("AutoConfig", None)
    family = str(config.get("model_type"))
    for value in classes.values() or (configuration, f"{config.get('_name_or_path')}--"):
        repository, _, where = str(value).rpartition("--")
        for name in (repository, where.rpartition(".")[2]):
            if (family, name) in OWN_CODE:
                return OWN_CODE[family, name]
    if not classes:
        return None
    key, value = next(iter(classes.items()))
    msg = (
        f"config.json says auto_map.{key} {value!r}: the model needs code of its own, which textmill does not know and never "
        "runs from a repository"
    )
    raise ModelBroken(msg)
