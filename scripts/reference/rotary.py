"""What the references of models with code of their own share: self-attention with rotated queries and keys."""

from __future__ import annotations

import torch  # noqa: TID253 - the reference runs on it


def attend(packed: torch.Tensor, heads: int, angles: torch.Tensor | None) -> torch.Tensor:
    """Softmax attention of (rows, tokens, 3 * features), queries, keys and values one after the other.

    ``angles`` are (tokens, pairs): feature i of a head turns with feature i + pairs; the rest of its features stay.
    """
    rows, tokens, features = packed.shape
    query, key, value = packed.view(rows, tokens, 3, heads, features // 3 // heads).permute(2, 0, 3, 1, 4)
    if angles is not None:
        query, key = turn(query, angles), turn(key, angles)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    states: torch.Tensor = scores.softmax(dim=-1) @ value
    return states.transpose(1, 2).reshape(rows, tokens, -1)


def turn(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate each pair of features (…, tokens, width) as a complex number."""
    pairs = angles.shape[-1]
    turned = torch.complex(x[..., :pairs], x[..., pairs : 2 * pairs]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag, x[..., 2 * pairs :]], dim=-1)


def angles(frequencies: torch.Tensor, tokens: int) -> torch.Tensor:
    """(tokens, pairs) of (pairs,) angles a step."""
    return torch.arange(tokens, dtype=torch.float32)[:, None] * frequencies


def frequencies(base: float, width: int) -> torch.Tensor:
    """(width / 2,) angles a step."""
    steps: torch.Tensor = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    return steps
