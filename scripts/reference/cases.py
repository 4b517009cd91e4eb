"""All cases, from the families' files."""

from __future__ import annotations

from scripts.reference import (
    bert_family,
    deberta_family,
    decoder_family,
    gte_family,
    jina_bert,
    jina_family,
    modernbert_family,
    nomic_family,
    roberta_family,
)
from scripts.reference.case import Case

CASES: tuple[Case, ...] = (
    *bert_family.CASES,
    *decoder_family.CASES,
    *deberta_family.CASES,
    *gte_family.CASES,
    *jina_bert.CASES,
    *jina_family.CASES,
    *modernbert_family.CASES,
    *nomic_family.CASES,
    *roberta_family.CASES,
)
