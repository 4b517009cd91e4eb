"""The public names are these; adding or losing one is a decision, not an accident."""

from __future__ import annotations

import inspect

import pytest

import textmill
from textmill import errors

NAMES = {
    "Chunking",
    "ConfigInvalid",
    "ContextExceeded",
    "DownloadFailed",
    "EmptyInput",
    "ExtraMissing",
    "ForwardFailed",
    "InvalidInput",
    "LoadFailed",
    "Model",
    "ModelBroken",
    "ModelInfo",
    "ModelNotFound",
    "ModelUnclear",
    "Overloaded",
    "TemplateBroken",
    "TextmillError",
    "TooManyInputs",
    "Unavailable",
    "WrongTask",
    "__version__",
    "custom",
    "connect",
    "load",
    "shared",
}
MODEL_NAMES = {
    "aclassify",
    "aclassify_tokens",
    "aclassify_zero_shot",
    "aembed",
    "aembed_chunks",
    "aembed_hybrid",
    "aembed_multi",
    "aembed_sparse",
    "aembed_tokens",
    "arerank",
    "chat",
    "classify",
    "classify_zero_shot_inputs",
    "classify_inputs",
    "classify_tokens",
    "classify_tokens_inputs",
    "classify_zero_shot",
    "close",
    "complete",
    "decode",
    "decode_inputs",
    "embed",
    "embed_chunks",
    "embed_chunks_inputs",
    "embed_hybrid",
    "embed_hybrid_inputs",
    "embed_inputs",
    "embed_multi",
    "embed_multi_inputs",
    "embed_sparse",
    "embed_sparse_inputs",
    "embed_tokens",
    "embed_tokens_inputs",
    "info",
    "prompt",
    "ready",
    "rerank",
    "rerank_inputs",
    "tokenize",
    "tokenize_inputs",
    "wait_until_warm",
    "waiting",
}


def test_textmill_has_exactly_its_public_names() -> None:
    assert set(textmill.__all__) == NAMES
    assert set(dir(textmill)) == NAMES


def test_a_model_has_exactly_its_public_names() -> None:
    shown = {name for name in dir(textmill.Model) if not name.startswith("_")}

    assert shown | {"info"} == MODEL_NAMES  # info is set by each model


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_each_public_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(textmill, name))


def test_every_error_is_public() -> None:
    assert {name for name, value in vars(errors).items() if inspect.isclass(value)} < NAMES


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'textmill' has no attribute 'lod'"):
        _ = textmill.lod
