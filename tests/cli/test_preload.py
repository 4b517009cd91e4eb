"""Models that are installed before the start."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from textmill.cli.preload import preload, wish_of
from textmill.errors import ConfigInvalid
from textmill.gallery.entry import File
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
    assert wish_of(text, 1) == wish


@pytest.mark.parametrize(
    "text",
    [
        '{"url": "https://u:s3cret@h/m?k=s3cret"',
        '{"id": 1, "url": "s3cret"}',
        '{"name": "s3cret"}',
        '{"id": "a", "url": "s3cret"}',
        '{"delete": "s3cret"}',
        '{"id": "https://u:s3cret@h/m"}',
    ],
)
def test_other_objects_are_refused_by_their_number_before_anything_is_installed(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"^entry 2 of --preload: ") as caught:
        preload(["bert", text], Gallery(tmp_path))

    assert "s3cret" not in str(caught.value)


def test_null_is_as_good_as_absent() -> None:
    text = '{"id": "x", "url": null, "name": null, "overrides": {"a": null}, "files": [{"filename": "f", "uri": "u", "sha256": null}]}'

    assert wish_of(text, 1) == Wish(id="x", overrides={"a": None}, files=(File(filename="f", uri="u"),))


def test_the_log_has_no_secret_of_an_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    preload(["u:s3cret@h/m.gguf", "ftp://u:s3cret@h/m.gguf"], Gallery(tmp_path))

    assert "installing h/m.gguf" in caplog.messages
    assert "s3cret" not in caplog.text


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
