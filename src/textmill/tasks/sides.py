"""Which of a model's own prompts is for the side of a search, or for a purpose, that a call names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from textmill.contract import ChunkOptions, EmbedOptions, Kind

SIDES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "query": ("query", "search_query", "retrieval.query", "Retrieval-query", "s2p_query"),
        "document": (
            *("document", "passage", "corpus"),
            *("search_document", "retrieval.passage", "Retrieval-document"),
        ),
    }
)
"""What models call the prompt of a side, the usual name first.

The first of each are those of sentence-transformers' encode_query and encode_document; the others those of nomic-embed-text,
jina-embeddings-v3, EmbeddingGemma and stella.
"""


def side_prompt(names: Iterable[str], kind: Kind) -> str | None:
    """The name of a side's prompt among those of a model; None where it has none."""
    return named(names, *SIDES[kind])


def named(names: Iterable[str], *wanted: str) -> str | None:
    """That one of a model's names which is wanted, the first wanted one that is there, whatever its case; None for none."""
    own = {name.lower(): name for name in names}
    return next((own[each.lower()] for each in wanted if each.lower() in own), None)


def sided(options: EmbedOptions, names: Iterable[str]) -> EmbedOptions:
    """The options with the name of the prompt that their side means, where they say no prompt themselves."""
    name = _name(options, names)
    return options if name is None else replace(options, prompt_name=name)


def sided_chunks(options: ChunkOptions, names: Iterable[str]) -> ChunkOptions:
    """As `sided`."""
    name = _name(options, names)
    return options if name is None else replace(options, prompt_name=name)


def _name(options: EmbedOptions | ChunkOptions, names: Iterable[str]) -> str | None:
    if options.kind is None or options.prompt is not None or options.prompt_name is not None:
        return None
    return side_prompt(names, options.kind)
