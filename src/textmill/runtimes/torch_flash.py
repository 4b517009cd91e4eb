"""Flash attention over packed rows of any length (Dao, 2023, arXiv:2307.08691), where this torch and this device have it."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np
import torch  # noqa: TID253 - this file belongs to the runtime that owns the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

from textmill.runtimes.runtime import Row
from textmill.runtimes.torch_batch import Batch

_log = logging.getLogger(__name__)

_TRIED = (3, 1, 5)
"""Lengths of the rows that it is tried on."""
_HEADS, _WIDTH = 2, 64
_CLOSE = 0.03


class PackedAttention(Protocol):
    """Attention over packed rows."""

    def __call__(
        self, query: Array, key: Array, value: Array, batch: Batch, *, causal: bool, scale: float, window: int | None
    ) -> Array:
        """(T, heads, width) from queries, keys and values like it; keys and values may have fewer heads."""
        ...


def packed_attention(device: torch.device, dtype: torch.dtype) -> PackedAttention | None:
    """`flash` where it runs, else None.

    It is tried once on small rows and compared with the plain way, since no list says which devices and releases have it.
    """
    if device.type != "cuda" or dtype == torch.float32:
        return None
    try:
        close = agrees(flash, device, dtype)
    except (ImportError, RuntimeError, TypeError, ValueError) as error:
        _log.warning("torch's attention over packed rows does not run here, so rows are padded for it: %s", error)
        return None
    if not close:
        _log.warning("torch's attention over packed rows computes something else here, so rows are padded for it")
    return flash if close else None


def agrees(attention: PackedAttention, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether it computes what attention is, on a few rows with a window, causal and not."""
    with torch.inference_mode():
        batch = Batch.of([Row(np.zeros(length, np.int32)) for length in _TRIED], device)
        query, key, value = torch.randn(3, sum(_TRIED), _HEADS, _WIDTH, device=device, dtype=dtype)
        for causal in (False, True):
            made = attention(query, key, value, batch, causal=causal, scale=0.1, window=2)
            parts = []
            for q, k, v in zip(query.split(_TRIED), key.split(_TRIED), value.split(_TRIED), strict=True):
                away = torch.arange(len(q), device=device)[:, None] - torch.arange(len(q), device=device)
                seen = (away.abs() <= 2) & (away >= 0 if causal else True)  # noqa: PLR2004 - the window
                a, b, c = (x.transpose(0, 1).float() for x in (q, k, v))
                parts.append(
                    functional.scaled_dot_product_attention(a, b, c, attn_mask=seen, scale=0.1).transpose(0, 1)
                )
            if not torch.allclose(made.float(), torch.cat(parts), atol=_CLOSE):
                return False
    return True


def flash(
    query: Array, key: Array, value: Array, batch: Batch, *, causal: bool, scale: float, window: int | None
) -> Array:
    """`PackedAttention` by torch's own kernel."""
    from torch.nn.attention.varlen import varlen_attn

    side = -1 if window is None else window
    longest = max(batch.lengths)
    made = varlen_attn(
        query,
        key,
        value,
        batch.ends,
        batch.ends,
        longest,
        longest,
        scale=scale,
        window_size=(side, 0 if causal else side),
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return made if isinstance(made, Array) else made[0]
