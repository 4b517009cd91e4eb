from __future__ import annotations

import pytest
from bench import gpu

from textmill.arch.shapes import check


def test_without_a_gpu_the_script_says_so_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(0) == 0
    assert capsys.readouterr().out == "no CUDA device is here, so there is nothing to measure\n"


def test_the_measured_model_is_a_whole_bge_base() -> None:
    assert check(gpu.program())["dense"].axes == (768,)
    assert gpu.operations(512) == 12 * (2 * (4 * 768**2 + 2 * 768 * 3072) + 4 * 768 * 512)
