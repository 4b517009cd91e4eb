"""An installation writes what it should, where it should, and over nothing else."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.gallery.kit import WEIGHTS, Kit

from textmill.errors import InvalidInput, ModelNotFound
from textmill.gallery.entry import Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.progress import Progress
from textmill.gallery.stop import Stop
from textmill.gallery.wish import Wish
from textmill.testing.fileserver import Fault


@pytest.mark.parametrize("wish", [{}, {"id": "x", "url": "y"}, {"id": " "}, {"delete": "x", "id": "y"}])
def test_a_wish_says_one_thing(kit: Kit, wish: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="give exactly one of id, url and uri"):
        kit.gallery.carry_out(msgspec.convert(wish, Wish))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/srv/evil",
        "a/../../evil",
        "C:\\evil",
        "..\\evil",
        ".textmill/jobs/x.json",
        "._gallery_x.yaml",
        "x.yaml",
        "",
    ],
)
def test_a_gallery_cannot_write_outside_the_folder_or_over_what_is_not_its_own(
    kit: Kit, tmp_path: Path, name: str
) -> None:
    kit.entries({"name": "evil", "files": [{"filename": name, "uri": kit.server.url("/bert.gguf")}]})
    before = {path for path in tmp_path.rglob("*") if "models" not in path.parts}

    with pytest.raises(InvalidInput):
        kit.install(id="evil")

    assert {path for path in tmp_path.rglob("*") if "models" not in path.parts} == before
    assert not kit.folder.exists() or kit.names() == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a\\b", ".hidden", "..", "x\x00y"])
def test_a_model_name_cannot_lead_out_of_the_folder(kit: Kit, name: str) -> None:
    with pytest.raises(InvalidInput, match="give another name"):
        kit.install(id="bert", name=name)
    assert not kit.folder.exists() or kit.names() == []


def test_a_template_cannot_lead_out_of_the_folder(kit: Kit) -> None:
    kit.entries(
        {"name": "evil", "config_file": {"backend": "x"}, "prompt_templates": [{"name": "../evil", "content": "x"}]}
    )

    with pytest.raises(InvalidInput):
        kit.install(id="evil")
    assert kit.names() == []


def test_a_linked_folder_cannot_be_written_through(kit: Kit, tmp_path: Path) -> None:
    kit.folder.mkdir()
    (tmp_path / "outside").mkdir()
    (kit.folder / "link").symlink_to(tmp_path / "outside")
    kit.entries({"name": "evil", "files": [{"filename": "link/x", "uri": kit.server.url("/bert.gguf")}]})

    with pytest.raises(InvalidInput, match="symbolic link"):
        kit.install(id="evil")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("backend", ["python", "Python", "cpu-python"])
def test_a_model_file_that_runs_code_is_never_installed(kit: Kit, backend: str) -> None:
    with pytest.raises(InvalidInput, match="such a model file is written by hand, never installed"):
        kit.install(id="bert", overrides={"backend": backend, "parameters": {"model": "json:loads"}})


@pytest.mark.parametrize(
    "overrides",
    [
        {"parameters": {"model": "/etc/passwd"}},
        {"parameters": {"model": "../x"}},
        {"mmproj": "a/../../x"},
        {"draft_model": "~/x"},
    ],
)
def test_a_model_file_cannot_name_a_file_outside(kit: Kit, overrides: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="leads out of the models folder"):
        kit.install(id="bert", overrides=overrides)
    assert kit.names() == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/x.yaml", "http://localhost:{port}/bert.yaml"])
def test_a_document_is_not_fetched_from_a_private_address(kit: Kit, url: str) -> None:
    with pytest.raises(InvalidInput, match="private, loopback"):
        kit.install(url=url.format(port=kit.server.server_port))
    assert kit.server.asked == []


def test_an_entry_without_anything_is_told(kit: Kit) -> None:
    kit.entries({"name": "empty"})

    with pytest.raises(InvalidInput, match="neither files nor a config"):
        kit.install(id="empty")


def test_a_models_own_yaml_is_never_overwritten(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "bert.yaml").write_text("name: mine\n")

    with pytest.raises(InvalidInput, match="is not as an installation has written it"):
        kit.install(id="bert")
    assert (kit.folder / "bert.yaml").read_text() == "name: mine\n"


def test_a_model_file_that_was_changed_by_hand_is_not_lost(kit: Kit) -> None:
    kit.install(id="bert")
    mine = (kit.folder / "bert.yaml").read_text() + "threads: 3\n"
    (kit.folder / "bert.yaml").write_text(mine)

    with pytest.raises(InvalidInput, match="is not as an installation has written it"):
        kit.install(id="bert")
    assert (kit.folder / "bert.yaml").read_text() == mine


def test_an_installation_that_was_killed_between_its_note_and_its_model_file_is_renewed(kit: Kit) -> None:
    kit.install(id="bert")
    before = (kit.folder / "bert.yaml").read_bytes()
    kit.install(id="bert", overrides={"threads": 3})
    (kit.folder / "bert.yaml").write_bytes(before)

    kit.install(id="bert", overrides={"threads": 4})

    assert kit.config("bert")["threads"] == 4


def test_a_file_that_a_deletion_takes_in_the_meantime_is_fetched_again(kit: Kit) -> None:
    kit.install(id="bert")

    def meanwhile(progress: Progress) -> None:
        if progress.file == "bert.gguf" and (kit.folder / "bert.yaml").exists():
            kit.delete("bert")

    kit.gallery.carry_out(Wish(id="bert", name="second"), meanwhile)

    assert kit.names() == ["._gallery_second.yaml", "bert-chat.tmpl", "bert.gguf", "second.yaml", "shared.json"]


def test_a_name_that_another_model_file_has_is_not_given_twice(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "other.yaml").write_text("- name: a\n- name: bert\n")

    with pytest.raises(InvalidInput, match=r"other\.yaml describes a model bert already"):
        kit.install(id="bert")


def test_an_installation_is_renewed_with_what_the_gallery_has_now(kit: Kit) -> None:
    kit.install(id="bert")
    renewed = b"GGUF renewed"
    kit.server.files["/bert.yaml"] = b"backend: llama-cpp"
    gallery = Gallery(kit.folder, sources=(Source("new", kit.server.url("/new.yaml")),), access=kit.gallery._access)
    kit.server.files["/new.yaml"] = yaml.safe_dump(
        [
            {
                "name": "bert",
                "config_file": {"parameters": {"model": "bert.gguf"}},
                "files": [kit.file("bert.gguf", renewed)],
            }
        ]
    ).encode()

    gallery.carry_out(Wish(id="bert"))

    assert (kit.folder / "bert.gguf").read_bytes() == renewed
    assert kit.names() == ["._gallery_bert.yaml", "bert.gguf", "bert.yaml"]


def test_a_file_that_another_model_uses_is_not_renewed_under_its_feet(kit: Kit) -> None:
    kit.install(id="bert")
    (kit.folder / "mine.yaml").write_text("name: mine\nparameters: {model: bert.gguf}\n")
    changed = kit.file("bert.gguf", b"GGUF other")

    with pytest.raises(InvalidInput, match="exists and is another file"):
        kit.install(id="bert", files=[changed])
    assert (kit.folder / "bert.gguf").read_bytes() == WEIGHTS


def test_a_file_that_a_model_outside_of_the_folder_uses_is_neither_renewed_nor_removed(
    kit: Kit, tmp_path: Path
) -> None:
    kit.install(id="bert")
    (tmp_path / "all.yaml").write_text("- name: mine\n  parameters: {model: bert.gguf}\n")
    beside = kit.beside("/new.yaml", config_files=(tmp_path / "all.yaml",))
    kit.server.files["/new.yaml"] = yaml.safe_dump([{"name": "bert", "config_file": {"backend": "x"}}]).encode()

    with pytest.raises(InvalidInput, match="exists and is another file"):
        beside.install(id="bert", files=[kit.file("bert.gguf", b"GGUF other")])
    beside.install(id="bert")

    assert kit.names() == ["._gallery_bert.yaml", "bert.gguf", "bert.yaml"]


def test_a_failing_download_leaves_no_model_file_and_is_taken_up_again(kit: Kit) -> None:
    kit.server.always["/bert.gguf"] = Fault(status=404)
    with pytest.raises(ModelNotFound):
        kit.install(id="bert")
    assert kit.names() == ["shared.json"]

    kit.server.always.clear()
    kit.install(id="bert")

    assert "bert.yaml" in kit.names()


def test_progress_counts_over_all_files(kit: Kit) -> None:
    told: list[Progress] = []

    kit.gallery.carry_out(Wish(id="bert"), told.append)

    assert [(each.file, each.percent) for each in told if each.phase == "done"][-1] == ("bert.gguf", 100.0)
    assert ("shared.json", 50.0) in [(each.file, each.percent) for each in told]
    assert [each.percent for each in told] == sorted(each.percent for each in told)


def test_a_cancelled_installation_writes_no_model_file(kit: Kit) -> None:
    stop = Stop()

    def cancel(progress: Progress) -> None:
        if progress.file == "bert.gguf":
            stop.set()

    with pytest.raises(CancelledError):
        kit.gallery.carry_out(Wish(id="bert"), cancel, stop)
    assert "bert.yaml" not in kit.names()


def test_two_files_of_one_name_are_not_taken_for_each_other(kit: Kit) -> None:
    kit.server.files["/a/x/resolve/main/model.gguf"] = WEIGHTS
    kit.server.files["/b/y/resolve/main/model.gguf"] = b"GGUF of another model"
    kit.install(uri="a/x/model.gguf")

    with pytest.raises(InvalidInput, match="model is installed from huggingface://a/x/model"):
        kit.install(uri="b/y/model.gguf")
    with pytest.raises(InvalidInput, match=r"came from huggingface://a/x/model\.gguf@main, not from huggingface://b/y"):
        kit.install(uri="b/y/model.gguf", name="other")
    kit.install(uri="hf://a/x/model.gguf")

    assert (kit.folder / "model.gguf").read_bytes() == WEIGHTS
    assert "other.yaml" not in kit.names()


def test_a_file_that_a_person_has_put_there_is_kept_where_there_is_no_hash(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "model.gguf").write_bytes(b"mine")

    kit.install(uri="a/x/model.gguf")

    assert (kit.folder / "model.gguf").read_bytes() == b"mine"
    assert kit.server.asked == []


def test_a_gallerys_new_address_of_a_file_renews_it(kit: Kit) -> None:
    kit.entries(
        {"name": "m", "files": [{"filename": "f", "uri": kit.server.url("/v1")}], "config_file": {"backend": "x"}}
    )
    kit.server.files |= {"/v1": b"one", "/v2": b"two"}
    kit.install(id="m")
    fresh = Gallery(kit.folder, sources=(Source("other", kit.server.url("/new.yaml")),), access=kit.gallery._access)
    kit.server.files["/new.yaml"] = kit.server.files["/index.yaml"].replace(b"/v1", b"/v2")

    fresh.carry_out(Wish(id="m"))

    assert (kit.folder / "f").read_bytes() == b"two"


def test_a_file_that_was_checked_is_not_hashed_again_unless_it_has_changed(kit: Kit) -> None:
    kit.install(id="bert")
    (kit.folder / "bert.gguf").write_bytes(b"damaged")

    kit.install(id="bert")

    assert (kit.folder / "bert.gguf").read_bytes() == WEIGHTS
