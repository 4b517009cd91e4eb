"""What a model can do, by what its file says and by what its weights are: for choosing among models before any is loaded."""

from __future__ import annotations

import re
from typing import Literal, get_args

from textmill.folder.backends import Backend
from textmill.folder.fields import Fields
from textmill.folder.weights import Facts

Capability = Literal[
    "embeddings",
    "sparse",
    "multivector",
    "rerank",
    "classify",
    "token_classify",
    "chat",
    "completion",
    "edit",
    "tokenize",
]
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)
WRITES: frozenset[Capability] = frozenset({"chat", "completion", "edit"})
"""What a model that generates text does; any of them can edit, and chat without a template of its own."""

USECASES: dict[str, frozenset[Capability]] = {
    **{name: frozenset({name}) for name in CAPABILITIES},
    "llm": WRITES,
    "embedding": frozenset({"embeddings"}),
    "reranking": frozenset({"rerank"}),
    "score": frozenset(),
    "any": frozenset(),
}
"""Names that `known_usecases` may have."""

_EMBEDDING_GGUF = re.compile(
    r"(?:nomic-|jina-|modern-?|neo-|euro)?bert(?:-.+)?|gemma-embedding|t5encoder|.*-embed(?:ding)?"
)
_RERANKS = re.compile(r"rerank|cross-?encoder", re.IGNORECASE)
_EMBEDS = re.compile(r"embed|\bbge-|\be5-|\bgte-|minilm", re.IGNORECASE)
"""What providers' names of embedding models have in them."""
_LATE = ("ColBERT", "MultiVectorEncoder")
_SPARSE = ("SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder")
_WRITERS = ("ForCausalLM", "LMHeadModel")
_OF_CLASS: dict[str, frozenset[Capability]] = {
    "SentenceTransformer": frozenset({"embeddings"}),
    "OVModelForFeatureExtraction": frozenset({"embeddings"}),
    "AutoModel": frozenset({"embeddings"}),
    "TokenClassification": frozenset({"token_classify"}),
    "AutoModelForTokenClassification": frozenset({"token_classify"}),
    "AutoModelForSequenceClassification": frozenset({"classify"}),
    "CrossEncoder": frozenset({"rerank"}),
    "Mamba": WRITES,
}


def capabilities(fields: Fields, backend: Backend | None, facts: Facts | None, name: str) -> tuple[Capability, ...]:
    """What the model is for, in the order of `CAPABILITIES`.

    What its file says comes before what its weights say; ``name`` is that of the repository or folder, whose words count
    where nothing else does.
    """
    found = _stated(fields, backend, facts)
    if found is None:
        found = by_facts(facts, name) if facts is not None else _by_name(backend, name)
    if found - {"tokenize"}:
        found |= {"tokenize"}
    return tuple(each for each in CAPABILITIES if each in found)


def by_facts(facts: Facts, name: str) -> frozenset[Capability]:
    """What weights are for by themselves."""
    if facts.gguf is not None:
        return _by_gguf(facts)
    return _by_modules(facts) or _by_class(facts, name)


def _by_modules(facts: Facts) -> frozenset[Capability]:
    """What the files of sentence-transformers, ColBERT and bge-m3 say; nothing where they do not."""
    found: frozenset[Capability] = frozenset()
    if facts.kind in _LATE or facts.trained_as == "HF_ColBERT":
        found = frozenset({"multivector", "rerank"})
    elif facts.kind == "SparseEncoder" or set(facts.modules) & set(_SPARSE):
        found = frozenset({"sparse"})
    elif "LogitScore" in facts.modules:
        found = frozenset({"rerank"})
    elif facts.hybrid:
        found = frozenset({"embeddings", "sparse", "multivector", "rerank"})
    elif facts.modules and facts.kind != "CrossEncoder":
        found = frozenset({"embeddings"})
    return found


def _stated(fields: Fields, backend: Backend | None, facts: Facts | None) -> frozenset[Capability] | None:
    """What the file says the model is for; None where it does not say."""
    flags: frozenset[Capability] = frozenset()
    if fields.embeddings or (backend is not None and backend.task == "embed"):
        flags |= _vectors(facts)
    if fields.reranking or (backend is not None and backend.task == "rerank") or _pools_by_rank(fields):
        flags |= {"rerank"}
    if fields.known_usecases:
        for word in fields.known_usecases:
            flags |= USECASES.get(usecase(word), frozenset())
        return flags
    if flags:
        return flags
    kind = fields.type or (backend.type if backend is not None else "")
    if kind.endswith("ForCausalLM"):
        return WRITES
    return _OF_CLASS.get(kind)


def usecase(word: str) -> str:
    """A word of `known_usecases` as `USECASES` has it: FLAG_CHAT is chat."""
    return word.strip().lower().removeprefix("flag_")


def _vectors(facts: Facts | None) -> frozenset[Capability]:
    """What `embeddings: true` means: a dense vector, unless the model makes other ones only."""
    own = by_facts(facts, "") if facts is not None else frozenset()
    others = own & {"sparse", "multivector"}
    return frozenset(own) if others else frozenset({"embeddings"})


def _pools_by_rank(fields: Fields) -> bool:
    return fields.parameters is not None and fields.parameters.pooling == "rank"


def _by_gguf(facts: Facts) -> frozenset[Capability]:
    gguf = facts.gguf
    if gguf is None or gguf.architecture == "clip" or gguf.type == "mmproj":
        return frozenset()
    if gguf.pooling == "rank":
        return frozenset({"rerank"})
    if gguf.pooling in ("mean", "cls", "last") or _EMBEDDING_GGUF.fullmatch(gguf.architecture):
        return frozenset({"embeddings"})
    return WRITES


def _by_class(facts: Facts, name: str) -> frozenset[Capability]:
    """What a bare folder of transformers is for, by the class that it was trained as."""
    trained = facts.trained_as
    if trained.endswith(_WRITERS):
        return frozenset({"rerank"}) if _RERANKS.search(name) else WRITES
    if trained.endswith("ForSequenceClassification"):
        return frozenset({"rerank", "classify"}) if facts.labels == 1 else frozenset({"classify"})
    if trained.endswith("ForTokenClassification") and (facts.labels or not trained.startswith("New")):
        return frozenset({"token_classify"})
    if trained.endswith("ForQuestionAnswering") or facts.form in ("ggml", "unknown"):
        return frozenset()
    return frozenset({"embeddings"})


def _by_name(backend: Backend | None, name: str) -> frozenset[Capability]:
    """What weights are probably for that are not here yet."""
    if _RERANKS.search(name):
        return frozenset({"rerank"})
    if backend is not None and backend.engine in ("external", "python"):
        return frozenset()  # it is asked when it has the model
    if backend is not None and backend.engine == "remote" and (not backend.writes or _EMBEDS.search(name)):
        return frozenset({"embeddings"})
    if backend is None:
        return (
            WRITES if name.lower().endswith((".gguf", ".bin")) or "gguf" in name.lower() else frozenset({"embeddings"})
        )
    return frozenset({"embeddings"}) if backend.engine == "ours" else WRITES
