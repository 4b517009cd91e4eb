"""How texts are encoded: what sentence-transformers' ``encode`` takes, read once and used for every call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

import textmill

Kind = Literal["query", "document"]
Policy = Literal["model", "langchain"]
"""Whose prompts apply where the user has said none: the model's own for each side, or none but its default, as LangChain has it."""
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]

SIDES: Mapping[Kind, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""What sentence-transformers' encode_query and encode_document call the prompts of the sides."""
_IDLE = frozenset(
    ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "device", "pool", "chunk_size")
)
"""Without effect: batches are made by tokens, answers are lists, and the model stays where it is."""
_BUCKETS = 255
_SIGN = 128


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

    def read(self, keywords: Mapping[str, Any], caller: str) -> Encoding:
        """With what ``encode_kwargs`` say; one that nobody knows is warned of. Raises ValueError for an impossible one."""
        names = {
            "prompt": "prompt",
            "prompt_name": "prompt_name",
            "normalize_embeddings": "normalize",
            "truncate_dim": "dimensions",
            "precision": "precision",
            "task": "adapter",
        }
        for name in keywords.keys() - names.keys() - _IDLE:
            warnings.warn(f"{caller} does nothing with {name!r} of encode_kwargs", UserWarning, stacklevel=2)
        said = {own: keywords[name] for name, own in names.items() if keywords.get(name) is not None}
        if said.get("precision", "float32") not in get_args(Precision):
            msg = f"precision is {said['precision']!r}; it can be {', '.join(get_args(Precision))}"
            raise ValueError(msg)
        return replace(self, **said)

    def asked(self, info: textmill.ModelInfo) -> dict[str, Any]:
        """The keywords of `textmill.Model.embed`."""
        return {
            **self._prompt(),
            "normalize": self.normalize or info.normalized,
            "dimensions": self.dimensions if self._cut_first(info) else None,
            "adapter": self.adapter,
        }

    def made(self, vectors: npt.NDArray[np.float32], info: textmill.ModelInfo) -> list[list[float]]:
        """The vectors (n, dimensions) of a model as they are wanted."""
        if self.dimensions is not None and not self._cut_first(info):
            vectors = vectors[:, : self.dimensions]
        return cast("list[list[float]]", quantized(vectors, self.precision).tolist())

    def prompt_in_force(self, info: textmill.ModelInfo) -> str:
        """For a person: what goes in front of these texts."""
        said = self._prompt()
        if "prompt" in said:
            return f"the prompt {said['prompt']!r}" if said["prompt"] else "no prompt"
        if "prompt_name" in said:
            return f"the model's prompt {said['prompt_name']!r}"
        if info.prompts and "kind" in said:
            return f"the model's own prompt for them, where it is among {', '.join(info.prompts)}"
        return "no prompt" if info.default_prompt is None else f"the model's prompt {info.default_prompt!r}"

    def identity(self) -> str:
        """All that vectors depend on beside the model."""
        return repr(replace(self, prompts=dict(sorted(self.prompts.items()))))

    def _cut_first(self, info: textmill.ModelInfo) -> bool:
        """Whether vectors are cut before they are scaled: a model's own scaling comes before the cut, the user's behind it."""
        return self.normalize or not info.normalized

    def _prompt(self) -> dict[str, str]:
        if self.prompt is not None:
            return {"prompt": self.prompt}
        if self.prompt_name is not None:
            own = self.prompts.get(self.prompt_name)
            return {"prompt_name": self.prompt_name} if own is None else {"prompt": own}
        if self.policy == "langchain":
            return {}
        mine = next((self.prompts[name] for name in SIDES[self.kind] if name in self.prompts), None)
        return {"kind": self.kind} if mine is None else {"prompt": mine}


def quantized(vectors: npt.NDArray[np.float32], precision: Precision) -> npt.NDArray[Any]:
    """The vectors (n, dimensions) in fewer bits, as sentence-transformers' quantize_embeddings makes them.

    Raises ValueError for bytes of a single vector: their buckets are shares of what the vectors of a call reach.
    """
    if precision == "float32" or not len(vectors):
        return vectors
    if precision in ("binary", "ubinary"):
        packed = np.packbits(vectors > 0, axis=-1)
        return (packed - _SIGN).astype(np.int8) if precision == "binary" else packed
    if len(vectors) == 1:
        msg = f"{precision} needs the range of several vectors, and this is one; set another precision in query_encode_kwargs"
        raise ValueError(msg)
    starts = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - starts) / _BUCKETS
    buckets: npt.NDArray[Any] = np.clip(np.floor((vectors - starts) / np.where(steps == 0, 1, steps)), 0, _BUCKETS)
    return buckets.astype(np.uint8) if precision == "uint8" else (buckets - _SIGN).astype(np.int8)
