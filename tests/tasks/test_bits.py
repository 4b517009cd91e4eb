"""Vectors as bits."""

from __future__ import annotations

import numpy as np

from textmill.tasks.bits import signed_bits, unsigned_bits

UBINARY = [[160, 96, 174], [100, 244, 203]]
BINARY = [[32, -32, 46], [-28, 116, 75]]


def test_bits_are_those_of_sentence_transformers() -> None:
    """Computed with sentence-transformers 6.2.0: quantize_embeddings(default_rng(3).standard_normal((2, 24)), …)."""
    rows = np.random.default_rng(3).standard_normal((2, 24)).astype(np.float32)
    assert unsigned_bits(rows).tolist() == UBINARY
    assert signed_bits(rows).tolist() == BINARY


def test_zero_is_no_bit_and_a_byte_that_is_not_full_ends_in_zeros() -> None:
    rows = np.array([[1, 0, -1, 1, 0, 0, 0, 0, 2, 3]], np.float32)
    assert unsigned_bits(rows).tolist() == [[0b10010000, 0b11000000]]
    assert signed_bits(rows).tolist() == [[0b10010000 - 128, 0b11000000 - 128]]
