"""Kinds of modules in modules.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.checkpoint.modules import Module, class_name
from textmill.errors import ModelBroken

FOLDER = Path("model")


def test_jinas_own_transformer_counts_as_one() -> None:
    assert class_name(Module("custom_st.Transformer", "", 0), FOLDER) == "Transformer"


@pytest.mark.parametrize("module", [Module("custom_st.Other", "", 0), Module("custom_st.Transformer", "1", 1)])
def test_other_code_of_a_repository_is_refused(module: Module) -> None:
    with pytest.raises(ModelBroken, match="never runs code"):
        class_name(module, FOLDER)
