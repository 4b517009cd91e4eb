"""How texts are encoded: the arguments of an embedder as keywords of `textmill.Model.embed`, and vectors as they are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import textmill
from textmill.compat import SentenceTransformer, embed_options, quantize_embeddings

Kind = Literal["query", "document"]
Policy = Literal["model", "haystack"]
"""Whose prompts apply where nothing else is said: the model's own for each side, or none but its default, as Haystack has it."""
WINDOW = 256
"""Texts between two steps of a progress bar."""
_IDLE = frozenset(
    ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "device", "pool", "chunk_size")
)


def asked(given: Mapping[str, Any], kind: Kind, info: textmill.ModelInfo | None) -> dict[str, Any]:
    """The keywords of `textmill.Model.embed`; ``info`` is the model's, None of a server's."""
    said = dict(given["encode_kwargs"] or {})
    for name in said.keys() - {"prompt", "prompt_name", "task", "truncate_dim"} - _IDLE:
        warnings.warn(f"nothing is done with {name!r} of encode_kwargs", UserWarning, stacklevel=2)
    made = {name: said[name] for name in ("prompt", "prompt_name") if said.get(name) is not None}
    if not made and not given["prefix"] and given["prompt_policy"] == "model":
        made["kind"] = kind
    if info is None:
        return {**made, "dimensions": _cut(given)}
    name = made.get("prompt_name")
    if name in SentenceTransformer.placeholders and name not in info.prompts and "prompt" not in made:
        made = {"prompt": ""}
    scaled = embed_options(info, normalize=given["normalize_embeddings"], truncate_dim=_cut(given))
    return {**made, "adapter": said.get("task"), **scaled}


def made(vectors: npt.NDArray[np.float32], given: Mapping[str, Any]) -> list[list[float]]:
    """The vectors (n, dimensions) of a model as they are wanted.

    Raises ValueError for bytes of a single vector without ``quantization_ranges``, the smallest and the largest values of each
    dimension.
    """
    kept = vectors[:, : _cut(given)]
    return cast(
        "list[list[float]]", quantize_embeddings(kept, given["precision"], given["quantization_ranges"]).tolist()
    )


def _cut(given: Mapping[str, Any]) -> int | None:
    """How many dimensions are kept; what is said for the encoding comes before what is said for the model."""
    own: int | None = (given["encode_kwargs"] or {}).get("truncate_dim")
    return given["truncate_dim"] if own is None else own


def windows(texts: Sequence[str], *, bar: bool) -> Iterator[Sequence[str]]:
    """The texts, all at once or in parts behind a progress bar."""
    if not bar or not texts:
        yield texts
        return
    with tqdm(total=len(texts), desc="Embedding", unit="text") as shown:
        for start in range(0, len(texts), WINDOW):
            part = texts[start : start + WINDOW]
            yield part
            shown.update(len(part))
