"""A deletion takes what is the model's own, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.gallery.kit import Kit

from textmill.errors import InvalidInput, ModelNotFound
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.gguf import write_gguf


def test_a_deleted_model_is_gone_with_its_files(kit: Kit) -> None:
    kit.install(id="bert")

    removed = kit.delete("bert")

    assert kit.names() == []
    assert set(removed.files) == {"bert.yaml", "bert.gguf", "shared.json", "bert-chat.tmpl"}


def test_files_that_another_model_uses_stay(kit: Kit) -> None:
    kit.install(id="bert")
    kit.install(id="bert", name="second")

    removed = kit.delete("bert")

    assert set(removed.kept) == {"bert.gguf", "shared.json", "bert-chat.tmpl"}
    assert kit.names() == ["._gallery_second.yaml", "bert-chat.tmpl", "bert.gguf", "second.yaml", "shared.json"]
    kit.delete("second")
    assert kit.names() == []


@pytest.mark.parametrize(
    "other",
    [
        "name: o\nparameters: {model: ./bert.gguf}",
        "name: o\noptions: ['mmproj:bert.gguf']",
        "- name: o\n- name: p\n  draft_model: bert.gguf",
        "name: o\n  bad yaml: [bert.gguf",
    ],
)
def test_however_another_model_file_names_a_file_it_stays(kit: Kit, other: str) -> None:
    kit.install(id="bert")
    (kit.folder / "other.yaml").write_text(other)

    assert kit.delete("bert").kept == ("bert.gguf",)


@pytest.mark.parametrize(
    "other", ["name: bert.gguf", "name: o\nbackend: bert", "name: o\nparameters: {model: my-bert.gguf.old}"]
)
def test_a_word_that_only_looks_like_a_file_keeps_nothing(kit: Kit, other: str) -> None:
    kit.install(id="bert")
    (kit.folder / "other.yaml").write_text(other)

    assert kit.delete("bert").kept == ()


@pytest.mark.parametrize(
    "model",
    ["bert.gguf", "./bert.gguf", "{folder}/bert.gguf", "file://{folder}/bert.gguf", "link.gguf", "{folder}/link.gguf"],
)
def test_files_that_a_model_of_a_file_elsewhere_uses_stay(kit: Kit, tmp_path: Path, model: str) -> None:
    kit.install(id="bert")
    (kit.folder / "link.gguf").symlink_to("bert.gguf")
    elsewhere = tmp_path / "bert.yaml"
    elsewhere.write_text(f"- name: other\n  parameters: {{model: '{model.format(folder=kit.folder)}'}}\n- name: more\n")

    removed = kit.beside(config_files=(elsewhere,)).delete("bert")

    assert removed.kept == ("bert.gguf",)
    assert (kit.names(), elsewhere.exists()) == (["bert.gguf", "link.gguf"], True)


@pytest.mark.parametrize("given", ["weights", "linked", "weights/", "."])
@pytest.mark.parametrize("spelled", ["absolute", "relative", "through a link"])
def test_weights_that_a_server_was_given_stay(
    kit: Kit, tmp_path: Path, given: str, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kit.folder / "weights/1_Pooling").mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "1_Pooling/config.json"):
        (kit.folder / "weights" / name).write_bytes(b"{}")
    (kit.folder / "linked").symlink_to("weights")
    (tmp_path / "way").symlink_to(kit.folder)
    (kit.folder / "whole.yaml").write_text("name: whole\nparameters: {model: weights}\n")
    (kit.folder / "part.yaml").write_text("name: part\nparameters: {model: weights/model.safetensors}\n")
    monkeypatch.chdir(tmp_path)
    root = {"absolute": str(kit.folder), "relative": "models", "through a link": "way"}[spelled]
    beside = kit.beside(models=("owner/repo", f"{root}/{given}"))

    assert beside.delete("whole").kept == ("weights",)
    assert beside.delete("part").kept == ("weights/model.safetensors",)
    with pytest.raises(InvalidInput, match=r"weights is used by .* .given to the server at its start"):
        beside.delete("weights")
    assert len([name for name in kit.names() if name.startswith("weights/")]) == 3


def test_a_model_of_a_file_elsewhere_is_not_deleted(kit: Kit, tmp_path: Path) -> None:
    kit.install(id="bert")
    elsewhere = tmp_path / "bert.yaml"
    elsewhere.write_text("name: other\nparameters: {model: some.gguf}\n")
    beside = kit.beside(config_files=(elsewhere,))

    with pytest.raises(InvalidInput, match=r"other .of bert\.yaml, which --models-config-file names. is no model"):
        beside.delete("other")
    assert beside.delete("bert").kept == ()
    assert elsewhere.exists()


def test_a_file_elsewhere_that_cannot_be_read_leaves_everything_where_it_is(kit: Kit, tmp_path: Path) -> None:
    kit.install(id="bert")

    with pytest.raises(InvalidInput, match=r"all\.yaml, which --models-config-file names, cannot be read"):
        kit.beside(config_files=(tmp_path / "all.yaml",)).delete("bert")
    assert len(kit.names()) == 5


def test_a_file_elsewhere_that_is_one_of_the_folders_own_keeps_nothing(kit: Kit) -> None:
    kit.install(id="bert")

    assert kit.beside(config_files=(kit.folder / "bert.yaml",)).delete("bert").kept == ()
    assert kit.names() == []


def test_deleting_never_leaves_the_folder(kit: Kit, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "weights").mkdir(parents=True)
    (outside / "weights/secret").write_text("x")
    (outside / "file").write_text("x")
    kit.folder.mkdir()
    (kit.folder / "file").symlink_to(outside / "file")
    (kit.folder / "dir").symlink_to(outside / "weights")
    for name, model in (
        ("a", "../outside/file"),
        ("b", str(outside / "file")),
        ("c", "file"),
        ("d", "dir"),
        ("e", "dir/secret"),
    ):
        (kit.folder / f"{name}.yaml").write_text(f"name: {name}\nparameters: {{model: {model}}}\n")
    note = {"files": [{"filename": "../outside/file"}, {"filename": "/etc/passwd"}, {"filename": 3}, "x"]}
    (kit.folder / "._gallery_a.yaml").write_text(yaml.safe_dump(note))

    for name in "abecd":
        kit.delete(name)

    assert sorted(path.name for path in outside.rglob("*")) == ["file", "secret", "weights"]
    assert kit.names() == []


def test_a_deletion_that_was_cut_off_is_taken_up_again(kit: Kit) -> None:
    kit.install(id="bert")
    (kit.folder / "bert.yaml").unlink()

    kit.delete("bert")

    assert kit.names() == []


def test_a_folder_of_weights_goes_with_its_model(kit: Kit) -> None:
    (kit.folder / "weights/sub").mkdir(parents=True)
    (kit.folder / "weights/sub/model.safetensors").write_bytes(b"x")
    (kit.folder / "m.yaml").write_text("name: m\nparameters: {model: weights}\n")

    kit.delete("m")

    assert [path.name for path in kit.folder.iterdir()] == [".textmill"]


def test_a_model_of_a_list_is_not_taken_out_of_it(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "list.yaml").write_text("- name: a\n- name: b\n")

    with pytest.raises(InvalidInput, match=r"list\.yaml describes other models besides a"):
        kit.delete("a")
    assert kit.names() == ["list.yaml"]


def test_a_loose_file_is_deleted_unless_a_model_uses_it(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "loose.gguf").write_bytes(b"x")
    (kit.folder / "m.yaml").write_text("name: m\nparameters: {model: loose.gguf}\n")
    with pytest.raises(InvalidInput, match="is used by m"):
        kit.delete("loose.gguf")
    (kit.folder / "m.yaml").unlink()

    assert kit.delete("loose.gguf").files == ("loose.gguf",)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "notes.txt",
            "chat.tmpl",
            "tokenizer.json",
            "data",
            "data/rows.csv",
            "data/x.gguf",
            "owner",
            "owner/notes.txt",
        ),
        *("owner/tiny/config.json", "weights.bin", "link.gguf"),
    ],
)
def test_a_file_that_is_no_model_is_not_deleted(kit: Kit, tmp_path: Path, name: str) -> None:
    tiny_bert(kit.folder / "owner/tiny")
    (kit.folder / "data").mkdir()
    for file in ("notes.txt", "chat.tmpl", "tokenizer.json", "data/rows.csv", "owner/notes.txt", "weights.bin"):
        (kit.folder / file).write_text("x")
    write_gguf(kit.folder / "data/x.gguf", {"general.architecture": "bert"})
    (kit.folder / "link.gguf").symlink_to(write_gguf(tmp_path / "x.gguf", {"general.architecture": "bert"}))
    before = kit.names()

    with pytest.raises(ModelNotFound):
        kit.delete(name)
    assert kit.names() == before


def test_a_loose_model_is_deleted_with_all_that_is_its_own(kit: Kit) -> None:
    tiny_bert(kit.folder / "owner/tiny")
    tiny_bert(kit.folder / "small")
    facts = {"general.architecture": "llama"}
    for number in (1, 2, 3):
        write_gguf(kit.folder / f"large-0000{number}-of-00003.gguf", facts)
        write_gguf(kit.folder / f"other-large-0000{number}-of-00003.gguf", facts)
    (kit.folder / "broken.gguf").write_bytes(b"GGUF")
    (kit.folder / "old.bin").write_bytes(b"lmgg")

    for name in ("owner/tiny", "small", "large-00001-of-00003.gguf", "broken.gguf", "old.bin"):
        kit.delete(name)

    assert kit.names() == [f"other-large-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert not (kit.folder / "owner").exists()


def test_a_loose_model_of_which_a_model_uses_a_part_stays(kit: Kit) -> None:
    kit.folder.mkdir()
    for number in (1, 2):
        write_gguf(kit.folder / f"large-0000{number}-of-00002.gguf", {"general.architecture": "llama"})
    (kit.folder / "m.yaml").write_text("name: m\nparameters: {model: large-00002-of-00002.gguf}\n")

    with pytest.raises(InvalidInput, match="is used by m"):
        kit.delete("large-00001-of-00002.gguf")
    assert len(kit.names()) == 3


@pytest.mark.parametrize("name", ["nothing", "../models", "..", ".", ".textmill", "/etc/passwd", "a\\b", " "])
def test_what_is_no_model_is_not_deleted(kit: Kit, name: str) -> None:
    kit.install(id="bert")

    with pytest.raises((ModelNotFound, InvalidInput)):
        kit.delete(name)
    assert len(kit.names()) == 5


def test_what_localai_installed_can_be_deleted(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "phi.yaml").write_text("name: phi\nparameters: {model: phi.gguf}\n")
    (kit.folder / "phi.gguf").write_bytes(b"x")
    (kit.folder / "phi-chat.tmpl").write_text("x")
    note = {
        "name": "phi",
        "files": [{"filename": "phi.gguf", "sha256": "", "uri": "x"}],
        "prompt_templates": [{"name": "phi-chat", "content": "x"}],
    }
    (kit.folder / "._gallery_phi.yaml").write_text(yaml.safe_dump(note))

    kit.delete("phi")

    assert kit.names() == []


def test_a_broken_note_stops_nothing(kit: Kit) -> None:
    kit.install(id="bert")
    (kit.folder / "._gallery_bert.yaml").write_text("- [broken")

    kit.delete("bert")

    assert "bert.gguf" not in kit.names()


def test_an_address_in_place_of_a_name_is_told_without_its_password(kit: Kit) -> None:
    kit.folder.mkdir(exist_ok=True)
    with pytest.raises(ModelNotFound, match="no model is called 'http://h/x'"):
        kit.delete("http://us:s3cret@h/x")
