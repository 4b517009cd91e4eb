"""The dialects of servers elsewhere by their names in model files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from textmill.folder.remote import Dialect
from textmill.providers.cohere import Cohere
from textmill.providers.elasticsearch import Elasticsearch
from textmill.providers.gemini import Gemini
from textmill.providers.huggingface import HuggingFace
from textmill.providers.jina import Jina
from textmill.providers.nomic import Nomic
from textmill.providers.openai_embedding import OpenAIEmbedding
from textmill.providers.remote_dialect import RemoteDialect
from textmill.providers.tei import Tei
from textmill.providers.voyage import Voyage

DIALECTS: Mapping[Dialect, Callable[[], RemoteDialect]] = MappingProxyType(
    {
        "openai": OpenAIEmbedding,
        "cohere": Cohere,
        "elasticsearch": Elasticsearch,
        "gemini": Gemini,
        "huggingface": HuggingFace,
        "jina": Jina,
        "nomic": Nomic,
        "tei": Tei,
        "voyage": Voyage,
    }
)
"""How each is spoken to."""
