from __future__ import annotations

import numpy as np
import pytest

from textmill.tasks.norms import scaled

VECTORS = np.array([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [1e-3, 2e-3, -2e-3]], np.float32)


@pytest.mark.parametrize(
    ("norm", "first"),
    [(-1, [3, -4, 0]), (0, [24_570, -32_760, 0]), (1, [3 / 7, -4 / 7, 0]), (2, [0.6, -0.8, 0]), (3, [3, -4, 0])],
)
def test_norms_are_llama_cpps(norm: int, first: list[float]) -> None:
    made = scaled(VECTORS, norm)
    wanted = np.array(first) / (91 ** (1 / 3) if norm == 3 else 1)
    np.testing.assert_allclose(made[0], wanted, rtol=1e-6)
    assert made.dtype == np.float32
    assert not made[1].any()  # and no NaN


@pytest.mark.parametrize("norm", [1, 3, 100, 999])
def test_a_p_norm_becomes_one_also_where_powers_would_vanish(norm: int) -> None:
    small = scaled(VECTORS, norm)[2].astype(np.float64)
    assert (np.abs(small) ** norm).sum() == pytest.approx(1, rel=1e-4)
