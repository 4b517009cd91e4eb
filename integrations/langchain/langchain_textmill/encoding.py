"""How texts are encoded: what sentence-transformers' ``encode`` takes, read once and used for every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

import textmill
from textmill.compat import Precision, SentenceTransformer, embed_options, quantize_embeddings

Kind = Literal["query", "document"]
Policy = Literal["model", "langchain"]
"""Whose prompts apply where the user has said none: the model's own for each side, or none but its default, as LangChain has it."""

SIDES: Mapping[Kind, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""What sentence-transformers' encode_query and encode_document call the prompts of the sides."""
_NAMES = {
    "prompt": "prompt",
    "prompt_name": "prompt_name",
    "normalize_embeddings": "normalize",
    "truncate_dim": "dimensions",
    "precision": "precision",
    "task": "adapter",
}
"""Keywords of ``encode``, and what they are called here."""
_IDLE = frozenset(
    ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "device", "pool", "chunk_size")
)
"""Without effect: batches are made by tokens, answers are lists, and the model stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the texts of one side are encoded.

    ``prompts`` are the user's own by name; ``dimensions`` keeps that many leading values. ``normalize`` scales vectors to length
    one, as a model that is ``normalized`` itself does anyway.
    """

    kind: Kind
    policy: Policy
    prompts: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    prompt_name: str | None = None
    normalize: bool = False
    dimensions: int | None = None
    precision: Precision = "float32"
    adapter: str | None = None

    def read(self, keywords: Mapping[str, Any]) -> Encoding:
        """With what ``encode_kwargs`` say. Raises ValueError for an impossible one."""
        said = {own: keywords[name] for name, own in _NAMES.items() if keywords.get(name) is not None}
        if said.get("precision", "float32") not in get_args(Precision):
            msg = f"precision is {said['precision']!r}; it can be {', '.join(get_args(Precision))}"
            raise ValueError(msg)
        return replace(self, **said)

    def asked(self, info: textmill.ModelInfo) -> dict[str, Any]:
        """The keywords of `textmill.Model.embed`."""
        return {
            **self._prompt(info.prompts),
            **embed_options(info, normalize=self.normalize, truncate_dim=self.dimensions),
            "adapter": self.adapter,
        }

    def made(self, vectors: npt.NDArray[np.float32]) -> list[list[float]]:
        """The vectors (n, dimensions) of a model as they are wanted. Raises ValueError for a single one in bytes, which has no range."""
        return cast("list[list[float]]", quantize_embeddings(vectors[:, : self.dimensions], self.precision).tolist())

    def identity(self) -> str:
        """All that vectors depend on beside the model."""
        return repr(replace(self, prompts=dict(sorted(self.prompts.items()))))

    def _prompt(self, known: tuple[str, ...]) -> dict[str, str]:
        if self.prompt is not None:
            return {"prompt": self.prompt}
        if self.prompt_name is not None:
            own = self.prompts.get(self.prompt_name)
            if own is None and self.prompt_name in SentenceTransformer.placeholders and self.prompt_name not in known:
                own = ""
            return {"prompt_name": self.prompt_name} if own is None else {"prompt": own}
        if self.policy == "langchain":
            return {}
        mine = next((self.prompts[name] for name in SIDES[self.kind] if name in self.prompts), None)
        return {"kind": self.kind} if mine is None else {"prompt": mine}


def unknown(keywords: Mapping[str, Any]) -> list[str]:
    """The keywords that nobody knows."""
    return sorted(keywords.keys() - _NAMES.keys() - _IDLE)
