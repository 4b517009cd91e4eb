"""Models that are installed before the start."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from textmill.cli.preload import preload, wish_of
from textmill.errors import ConfigInvalid
from textmill.gallery.gallery import Gallery
from textmill.gallery.wish import Wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("bert-embeddings", Wish(id="bert-embeddings")),
        ("localai@bert/x", Wish(id="localai@bert/x")),
        ("huggingface://a/b/c.gguf", Wish(uri="huggingface://a/b/c.gguf")),
        ("BAAI/bge-small-en-v1.5", Wish(uri="BAAI/bge-small-en-v1.5")),
        ('{"id": "x", "name": "ada", "overrides": {"f16": true}}', Wish(id="x", name="ada", overrides={"f16": True})),
    ],
)
def test_an_entry_is_a_name_an_address_or_an_object(text: str, wish: Wish) -> None:
    assert wish_of(text) == wish


@pytest.mark.parametrize("text", ["{", '{"id": 1}', '{"name": "x"}', '{"id": "a", "url": "b"}', '{"delete": "x"}'])
def test_other_objects_are_refused_before_anything_is_installed(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"^--preload "):
        wish_of(text)


def test_what_is_missing_is_installed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "from").mkdir()
    (tmp_path / "from/w.bin").write_bytes(b"weights")
    models = tmp_path / "models"
    models.mkdir()
    sha = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "from/m.yaml").write_text(
        json.dumps({"name": "m", "config_file": "backend: llama\n", "files": [
            {"filename": "w.bin", "uri": f"file://{tmp_path}/from/w.bin", "sha256": sha}]})
    )  # fmt: skip
    entry = json.dumps({"url": f"file://{tmp_path}/from/m.yaml", "name": "ada"})
    gallery = Gallery(models, folders=(tmp_path / "from",))

    preload([entry, "missing-model", entry], gallery)

    assert (models / "ada.yaml").exists()
    assert (models / "w.bin").read_bytes() == b"weights"
    said = [record.getMessage() for record in caplog.records if record.name == "textmill"]
    assert said[0] == "installing ada"
    assert said.index("ada has been installed") < said.index("ada is installed")
    assert any(line.startswith("missing-model could not be installed, and is left out: ") for line in said)
