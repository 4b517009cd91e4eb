"""The services whose models textmill can serve, one row a service: addresses, keys, limits and roles, by the names of backends.

From the services' own documentation and clients, as of 2026; nothing here was tried against a live one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from textmill.folder.remote import REFUSE, Remote, Role


def _values(**values: str) -> Mapping[str, Role]:
    return MappingProxyType({name: Role(value=value) for name, value in values.items()})


def _suffixes(**suffixes: str) -> Mapping[str, Role]:
    return MappingProxyType({name: Role(suffix=suffix) for name, suffix in suffixes.items()})


_SEARCH = _values(
    query="search_query", document="search_document", classification="classification", clustering="clustering"
)
_DASHSCOPE = Remote(
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    key_variables=("DASHSCOPE_API_KEY",),
    inputs_per_request=10,
    dimensions_field="dimensions",
)

PRESETS: Mapping[str, Remote] = MappingProxyType(
    {
        "remote": Remote(base_url=""),
        "azure": Remote(
            base_url="",
            url_variable="AZURE_OPENAI_ENDPOINT",
            deployment="/openai/deployments/{model}",
            query="?api-version=2024-10-21",
            kind="openai",
            key_variables=("AZURE_OPENAI_API_KEY",),
            key_header="api-key",
            inputs_per_request=256,
            bytes_per_request=300_000,
            dimensions_field="dimensions",
        ),
        "clarifai": Remote(base_url="https://api.clarifai.com/v2/ext/openai/v1", key_variables=("CLARIFAI_PAT",)),
        "cohere": Remote(
            base_url="https://api.cohere.com",
            dialect="cohere",
            key_variables=("COHERE_API_KEY", "CO_API_KEY"),
            inputs_per_request=96,
            dimensions_field="output_dimension",
            role_field="input_type",
            role_default="document",  # the service wants one
            roles=_SEARCH,
        ),
        "dashscope": _DASHSCOPE,
        "dashscope-intl": replace(_DASHSCOPE, base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        "elasticsearch": Remote(
            base_url="", dialect="elasticsearch", key_scheme="ApiKey", inputs_per_request=32, input_field="text_field"
        ),
        "fireworks": Remote(
            base_url="https://api.fireworks.ai/inference/v1",
            key_variables=("FIREWORKS_API_KEY",),
            dimensions_field="dimensions",
        ),
        "gemini": Remote(
            base_url="https://generativelanguage.googleapis.com/v1beta",
            dialect="gemini",
            key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            key_header="x-goog-api-key",
            inputs_per_request=100,
            dimensions_field="outputDimensionality",
            role_field="taskType",
            roles=_values(
                query="RETRIEVAL_QUERY",
                document="RETRIEVAL_DOCUMENT",
                classification="CLASSIFICATION",
                clustering="CLUSTERING",
                similarity="SEMANTIC_SIMILARITY",
            ),
        ),
        "huggingface-inference": Remote(
            base_url="https://router.huggingface.co/v1",
            dialect="huggingface",
            key_variables=("HF_TOKEN",),
            inputs_per_request=32,
        ),
        "jina": Remote(
            base_url="https://api.jina.ai/v1",
            dialect="jina",
            key_variables=("JINA_API_KEY", "JINAAI_API_KEY"),
            inputs_per_request=128,
            dimensions_field="dimensions",
            encoding_field="embedding_type",
            base64=True,
            role_field="task",
            roles=_values(
                query="retrieval.query",
                document="retrieval.passage",
                classification="classification",
                clustering="separation",
                similarity="text-matching",
            ),
        ),
        "mistral": Remote(
            base_url="https://api.mistral.ai/v1",
            kind="mistral",
            key_variables=("MISTRAL_API_KEY",),
            bytes_per_request=32_000,  # the service takes 16,384 tokens
            dimensions_field="output_dimension",
        ),
        "nomic": Remote(
            base_url="https://api-atlas.nomic.ai/v1",
            dialect="nomic",
            key_variables=("NOMIC_API_KEY",),
            inputs_per_request=50,
            dimensions_field="dimensionality",
            role_field="task_type",
            roles=_SEARCH,
        ),
        "ollama": Remote(base_url="http://127.0.0.1:11434/v1", kind="ollama"),
        "openai": Remote(
            base_url="https://api.openai.com/v1",
            kind="openai",
            key_variables=("OPENAI_API_KEY",),
            inputs_per_request=256,
            bytes_per_request=300_000,
            dimensions_field="dimensions",
        ),
        "tei": Remote(
            base_url="",
            dialect="tei",
            inputs_per_request=32,
            documents_per_request=32,
            dimensions_field="dimensions",
            base64=True,
        ),
        "together": Remote(base_url="https://api.together.xyz/v1", key_variables=("TOGETHER_API_KEY",)),
        "upstage": Remote(
            base_url="https://api.upstage.ai/v1",
            key_variables=("UPSTAGE_API_KEY",),
            inputs_per_request=100,
            dimensions_field=REFUSE,
            role_default="document",  # the service has one model for each
            roles=_suffixes(query="-query", document="-passage"),
        ),
        "voyage": Remote(
            base_url="https://api.voyageai.com/v1",
            dialect="voyage",
            key_variables=("VOYAGE_API_KEY",),
            key_places=MappingProxyType({"al-": "https://ai.mongodb.com/v1"}),
            inputs_per_request=128,
            bytes_per_request=120_000,
            dimensions_field="output_dimension",
            base64=True,
            role_field="input_type",
            roles=_values(query="query", document="document"),
        ),
    }
)
"""A service, by the name of its backend; ``remote`` is any server of OpenAI's protocol."""
