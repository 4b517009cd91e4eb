"""All cases, from the families' files."""

from __future__ import annotations

from scripts.reference import bert_family, deberta_family, jina_bert, roberta_family
from scripts.reference.case import Case

CASES: tuple[Case, ...] = (
    *bert_family.CASES,
    *deberta_family.CASES,
    *jina_bert.CASES,
    *roberta_family.CASES,
)
