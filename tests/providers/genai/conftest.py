from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from textmill.folder.fields import Fields
from textmill.providers.genai.model import GenaiModel
from textmill.providers.genai.opening import Place, open_genai
from textmill.testing.causal import tiny_writer
from textmill.testing.genai import as_openvino

Open = Callable[..., GenaiModel]


def open_one(folder: Path, fields: Fields | None = None, **place: Any) -> GenaiModel:
    """The model of a folder in float32, so that batches change nothing that is seen."""
    return open_genai(
        Place(**{"name": "m", "source": "m", "folder": folder, "threads": 1, **place}),
        fields or Fields(dtype="float32"),
        dict(os.environ),  # noqa: TID251 - as the server would
    )


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens models, and closes them."""
    made: list[GenaiModel] = []

    def open_more(folder: Path, fields: Fields | None = None, **place: Any) -> GenaiModel:
        made.append(open_one(folder, fields, **place))
        return made[-1]

    yield open_more
    for model in made:
        model.close(0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of seeded weights, in OpenVINO's form and as safetensors."""
    return as_openvino(tiny_writer(tmp_path_factory.mktemp("genai") / "m", context=2048), keep=True)


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Iterator[GenaiModel]:
    """That model, for tests that leave it as it is."""
    model = open_one(folder, rows=8)
    yield model
    model.close(0.0)
