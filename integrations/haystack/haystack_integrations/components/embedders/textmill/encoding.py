"""How texts are encoded: the arguments of an embedder as keywords of `textmill.Model.embed`, and vectors as they are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

Kind = Literal["query", "document"]
Policy = Literal["model", "haystack"]
"""Whose prompts apply where nothing else is said: the model's own for each side, or none but its default, as Haystack has it."""
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
WINDOW = 256
"""Texts between two steps of a progress bar."""
_BUCKETS = 255
_SIGN = 128
_IDLE = frozenset(
    ("batch_size", "show_progress_bar", "convert_to_numpy", "convert_to_tensor", "device", "pool", "chunk_size")
)


def asked(given: Mapping[str, Any], kind: Kind, *, normalized: bool) -> dict[str, Any]:
    """The keywords of `textmill.Model.embed`; ``normalized`` is what the model does anyway, None of a server's."""
    said = dict(given["encode_kwargs"] or {})
    for name in said.keys() - {"prompt", "prompt_name", "task"} - _IDLE:
        warnings.warn(f"nothing is done with {name!r} of encode_kwargs", UserWarning, stacklevel=2)
    made = {name: said[name] for name in ("prompt", "prompt_name") if said.get(name) is not None}
    if not made and not given["prefix"] and given["prompt_policy"] == "model":
        made["kind"] = kind
    if given["url"] is not None:
        return {**made, "dimensions": given["truncate_dim"]}
    first = given["normalize_embeddings"] or not normalized
    return {
        **made,
        "adapter": said.get("task"),
        "normalize": given["normalize_embeddings"] or normalized,
        "dimensions": given["truncate_dim"] if first else None,
    }


def made(vectors: npt.NDArray[np.float32], given: Mapping[str, Any]) -> list[list[float]]:
    """The vectors (n, dimensions) of a model as they are wanted."""
    kept = vectors[:, : given["truncate_dim"]]
    return cast("list[list[float]]", quantized(kept, given["precision"], given["quantization_ranges"]).tolist())


def quantized(
    vectors: npt.NDArray[np.float32], precision: Precision, ranges: Sequence[Sequence[float]] | None
) -> npt.NDArray[Any]:
    """The vectors (n, dimensions) in fewer bits, as sentence-transformers' quantize_embeddings makes them.

    Raises ValueError for bytes of a single vector without ``ranges``, the smallest and the largest values of each dimension.
    """
    if precision == "float32" or not len(vectors):
        return vectors
    if precision in ("binary", "ubinary"):
        packed = np.packbits(vectors > 0, axis=-1)
        return (packed - _SIGN).astype(np.int8) if precision == "binary" else packed
    if ranges is None and len(vectors) == 1:
        msg = f"{precision} needs the range of several vectors, and this is one; give quantization_ranges"
        raise ValueError(msg)
    low, high = np.asarray((vectors.min(axis=0), vectors.max(axis=0)) if ranges is None else ranges, np.float32)
    steps = (high - low) / _BUCKETS
    buckets: npt.NDArray[Any] = np.clip(np.floor((vectors - low) / np.where(steps == 0, 1, steps)), 0, _BUCKETS)
    return buckets.astype(np.uint8) if precision == "uint8" else (buckets - _SIGN).astype(np.int8)


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
