from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xllamacpp

Open = Callable[..., Any]


@pytest.fixture
def opened() -> Open:
    """Opens a GGUF file in llama.cpp; further arguments are fields of its parameters."""
    return _opened


def _opened(path: Path, **fields: Any) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.port = 0
    params.n_parallel = 1
    params.n_ctx = 4096
    params.warmup = False
    params.verbosity = -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    for name, value in fields.items():
        setattr(params, name, value)
    return xllamacpp.Server(params)
