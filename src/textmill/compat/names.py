"""Names of models without their owners, as sentence-transformers' classes read them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from textmill.checkpoint.hub import PACKAGED

Organisation = Literal["sentence-transformers", "cross-encoder", "sparse-encoder"]
"""Whose models such a name means, for embeddings, for pairs of texts and for sparse vectors."""

_OWNERS = {
    "google-bert": (
        "bert-base-cased",
        "bert-base-cased-finetuned-mrpc",
        "bert-base-chinese",
        "bert-base-german-cased",
        "bert-base-multilingual-cased",
        "bert-base-multilingual-uncased",
        "bert-base-uncased",
        "bert-large-cased",
        "bert-large-cased-whole-word-masking",
        "bert-large-uncased",
        "bert-large-uncased-whole-word-masking",
    ),
    "distilbert": (
        "distilbert-base-cased",
        "distilbert-base-german-cased",
        "distilbert-base-multilingual-cased",
        "distilbert-base-uncased",
        "distilbert-base-uncased-finetuned-sst-2-english",
        "distilroberta-base",
    ),
    "FacebookAI": ("roberta-base", "roberta-large", "roberta-large-mnli", "xlm-roberta-base", "xlm-roberta-large"),
    "almanach": ("camembert-base",),
    "albert": tuple(f"albert-{size}-v{number}" for size in ("base", "large", "xlarge", "xxlarge") for number in (1, 2)),
}
"""Whose the models are that had no owner on the hub at first, and are still called so."""


def full_name(name: str, organisation: Organisation) -> str:
    """The hub id of a model that is called by its name only; the name itself where it is a folder, an id, or that of a package."""
    if "/" in name or "\\" in name or name in PACKAGED or name.startswith((".", "~")) or Path(name).exists():
        return name
    owner = next((owner for owner, names in _OWNERS.items() if name.lower() in names), organisation)
    return f"{owner}/{name}"
