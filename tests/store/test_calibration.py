"""int8 of a real model, end to end: as close to float32 as a ranking needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textmill.store.calibration import TEXTS
from textmill.store.load import load

PLACES = ("mill", "harbour", "library", "school", "market", "bridge", "farm", "theatre", "station", "garden")
DEEDS = ("opened early", "was painted green", "lost its roof", "held a fair", "closed for the winter")
PASSAGES = [
    f"The {place} at the river {deed} in {year}, and {text.split('.')[0].lower()}"
    for year, (place, deed) in enumerate([(p, d) for p in PLACES for d in DEEDS], 1950)
    for text in TEXTS[:4]
]


@pytest.mark.timeout(60)
def test_minilm_in_int8_keeps_vectors_and_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with load(dtype="float32") as exact, load(dtype="int8") as model:
        wanted, made = exact.embed(PASSAGES), model.embed(PASSAGES)
        assert model.info.dtype == "int8"
        assert model.info.int8_cosine is not None
        assert model.info.int8_cosine > 0.98  # on CPUs with AVX2 alone 0.9896, on those with VNNI above 0.99
        assert model.info.fingerprint != exact.info.fingerprint
    cosines = np.einsum("nd,nd->n", wanted, made)
    assert cosines.min() > 0.98
    assert cosines.mean() > 0.99
    assert len(list((tmp_path / "textmill" / "int8").glob("*.safetensors"))) == 1
