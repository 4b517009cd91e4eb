from __future__ import annotations

from typing import Any

import pytest

from textmill.errors import InvalidInput
from textmill.gallery.entry import File, Template, Variant, completed, config_of, read_entry


def test_the_current_format_is_read() -> None:
    raw = {
        "name": "bert",
        "url": "github:o/r/bert.yaml@master",
        "description": None,
        "license": "mit",
        "urls": ["https://a"],
        "icon": "https://i",
        "tags": ["embeddings"],
        "files": [{"filename": "bert.gguf", "sha256": None, "uri": "hf://o/r/bert.gguf"}],
        "config_file": {"backend": "llama-cpp"},
        "overrides": {"parameters": {"model": "bert.gguf"}},
        "variants": [{"model": "bert-q8"}],
        "size": 12,
        "last_checked": 1,
        "something_new": {"x": 1},
    }

    entry = read_entry(raw, "it")

    assert entry.files == (File(filename="bert.gguf", uri="hf://o/r/bert.gguf"),)
    assert (entry.variants, entry.tags, entry.size) == ((Variant(model="bert-q8"),), ("embeddings",), "12")
    assert entry.backend == "llama-cpp"


def test_the_old_format_is_read() -> None:
    raw = {
        "name": "thebloke__w__w.q2_k.bin",
        "url": "github:go-skynet/model-gallery/base.yaml",
        "urls": "https://huggingface.co/TheBloke/W",
        "license": 2,
        "overrides": {"parameters": {"model": "W.q2_K.bin"}},
        "files": [
            {
                "filename": "W.q2_K.bin",
                "sha256": "ab" * 32,
                "uri": "https://huggingface.co/TheBloke/W/resolve/main/W.q2_K.bin",
            }
        ],
    }

    entry = read_entry(raw, "it")

    assert entry.urls == ("https://huggingface.co/TheBloke/W",)
    assert entry.license == "2"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("text", "it is not a mapping"),
        ({}, "missing required field `name`"),
        ({"name": "  "}, "it has no name"),
        ({"name": "x", "files": [{"filename": "a"}]}, "missing required field `uri`"),
        ({"name": "x", "files": "a"}, "Expected `array`, got `str`"),
        ({"name": "x", "overrides": [1]}, r"Expected `object`, got `array` - at `\$.overrides`"),
        ({"name": "x", "config_file": "a: b: c"}, "the config_file of it is not YAML"),
        ({"name": "x", "config_file": "- 1"}, "Expected `object`"),
        ({"name": ["x"]}, r"\$.name"),
    ],
)
def test_a_broken_entry_is_told_by_its_field(raw: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_entry(raw, "it")


DOCUMENT = {
    "name": "base",
    "description": "from the document",
    "license": "apache-2.0",
    "config_file": "backend: llama\nparameters:\n  top_k: 80\n  model: base.bin\ntemplate:\n  chat: base-chat\n",
    "files": [{"filename": "a", "uri": "http://h/a"}, {"filename": "b", "uri": "http://h/b"}],
    "prompt_templates": [{"name": "base-chat", "content": "Q: {{.Input}}"}],
}


def test_a_linked_document_completes_an_entry_that_has_the_last_word() -> None:
    entry = read_entry(
        {
            "name": "mine",
            "license": "mit",
            "files": [{"filename": "b", "uri": "http://other/b"}],
            "overrides": {"parameters": {"model": "mine.bin"}},
        },
        "it",
    )

    full = completed(entry, DOCUMENT, "the document")

    assert (full.name, full.license, full.description) == ("mine", "mit", "from the document")
    assert [file.uri for file in full.files] == ["http://h/a", "http://other/b"]
    assert full.prompt_templates == (Template(name="base-chat", content="Q: {{.Input}}"),)
    assert config_of(full, {"backend": "bert", "parameters": {"seed": 1}}, "called") == {
        "name": "called",
        "backend": "bert",
        "parameters": {"top_k": 80, "model": "mine.bin", "seed": 1},
        "template": {"chat": "base-chat"},
    }


def test_a_model_file_serves_as_a_document() -> None:
    full = completed(
        read_entry({"name": "x"}, "it"), {"name": "y", "backend": "bert", "parameters": {"model": "m"}}, "d"
    )

    assert config_of(full, {}, "x") == {"name": "x", "backend": "bert", "parameters": {"model": "m"}}


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_document_that_is_no_mapping_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput, match="describes no model"):
        completed(read_entry({"name": "x"}, "it"), document, "the document")


def test_overrides_cannot_change_the_name() -> None:
    assert config_of(read_entry({"name": "x"}, "it"), {"name": "evil"}, "x") == {"name": "x"}
