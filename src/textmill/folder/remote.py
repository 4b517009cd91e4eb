"""A server elsewhere that runs models: where it is, how it is asked, what it takes at once, and how it tells queries from documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

Kind = Literal["openai", "compatible", "llama.cpp", "vllm", "mistral", "ollama"]
"""What a server of OpenAI's protocol understands beside it."""
KINDS: tuple[Kind, ...] = get_args(Kind)

Dialect = Literal["openai", "cohere", "elasticsearch", "gemini", "huggingface", "jina", "nomic", "tei", "voyage"]
"""How texts go to a server and vectors and scores come back; `textmill.providers.remote_dialects` has them."""

CUT, REFUSE = "cut", "refuse"
"""What may stand for the field that asks for fewer dimensions: vectors are cut here, or such requests are refused."""
NONE = "none"
"""What stands for the field of roles where the server has none."""

DOES: Mapping[Dialect, frozenset[str]] = MappingProxyType(
    {
        "openai": frozenset({"embeddings", "rerank", "chat", "completion"}),
        "huggingface": frozenset({"embeddings", "chat", "completion"}),
        **dict.fromkeys(("cohere", "jina", "tei", "voyage"), frozenset({"embeddings", "rerank"})),
        **dict.fromkeys(("elasticsearch", "gemini", "nomic"), frozenset({"embeddings"})),
    }
)
"""What textmill can have each do, as capabilities of model files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What tells the server that texts are queries, documents or the like.

    ``value`` is sent in the server's field of roles, ``suffix`` goes behind the model's name, ``prompt`` in front of each text. Each
    is empty for nothing.
    """

    value: str = ""
    suffix: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a server is and how it is asked: a row of `textmill.folder.remote_presets`, as the options of a model file change it.

    ``base_url`` stands in front of the routes; where it is empty, the variable ``url_variable`` has it. Of ``key_variables`` the first
    that is set has the key, none means that the server gets none; the key goes as ``Authorization: Bearer`` or behind another
    ``key_scheme``, or by itself in ``key_header``. Keys that begin as ``key_places`` says belong to another base URL. ``deployment`` is put
    behind the base URL, with the model's name at ``{model}``, and ``query`` behind each route.

    A request has at most ``inputs_per_request`` texts to embed, ``bytes_per_request`` bytes of them in UTF-8 (0 for any number; no
    tokenizer in use makes more tokens than bytes) or ``documents_per_request`` to rank; a longer text goes alone. ``requests_at_once``
    are under way for all calls together.

    ``input_field`` and ``dimensions_field`` are the server's names of fields, the first empty for the dialect's usual one, the second also
    `CUT` or `REFUSE`. Vectors are asked for as base64 where ``encoding_field`` is not empty and ``base64`` true. ``roles`` are known
    by our names; their values go in ``role_field``, and ``role_default`` is the one that applies where a call says none, empty for none.
    """

    base_url: str
    url_variable: str = ""
    deployment: str = ""
    query: str = ""
    dialect: Dialect = "openai"
    kind: Kind = "compatible"
    key_variables: tuple[str, ...] = ()
    key_header: str = ""
    key_scheme: str = "Bearer"
    key_places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeout_s: float = 600.0
    connect_s: float = 10.0
    retries: int = 2
    retry_s: float = 20.0
    requests_at_once: int = 4
    inputs_per_request: int = 64
    bytes_per_request: int = 0
    documents_per_request: int = 1000
    input_field: str = ""
    dimensions_field: str = CUT
    encoding_field: str = "encoding_format"
    base64: bool | None = None
    role_field: str = ""
    role_default: str = ""
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def as_base64(self) -> bool:
        """Whether vectors are asked for as base64: where nothing is said, of the kinds of server that are known to give it."""
        return self.kind in ("openai", "vllm", "llama.cpp") if self.base64 is None else self.base64
