"""Installing and deleting through the room's front, against a server that has a gallery, its documents and its files."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from textmill.errors import InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.access import Access, Patience
from textmill.gallery.entry import File, Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.install import Installed
from textmill.gallery.progress import Progress, Report
from textmill.gallery.remove import Removed
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Repository
from textmill.gallery.wish import Wish
from textmill.testing.fileserver import Fault, FileServer

WEIGHTS = b"GGUF" + b"w" * 5000
SHARED = b"shared tokenizer"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Kit:
    server: FileServer
    gallery: Gallery
    folder: Path

    def names(self) -> list[str]:
        """Everything in the folder that is not the room's own."""
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and ".textmill" not in path.parts
        )

    def config(self, name: str) -> Any:
        return yaml.safe_load((self.folder / f"{name}.yaml").read_text())

    def entries(self, *entries: dict[str, Any]) -> None:
        self.server.files["/index.yaml"] = yaml.safe_dump(list(entries)).encode()

    def install(self, **wish: Any) -> Installed:
        done = self.gallery.carry_out(msgspec.convert(wish, Wish))
        assert isinstance(done, Installed)
        return done

    def delete(self, name: str) -> Removed:
        done = self.gallery.carry_out(Wish(delete=name))
        assert isinstance(done, Removed)
        return done

    def file(self, path: str, data: bytes = WEIGHTS, **fields: str) -> dict[str, str]:
        """A file entry for a file that the server has."""
        self.server.files[f"/{path}"] = data
        return {"filename": path, "uri": self.server.url(f"/{path}"), "sha256": sha256(data), **fields}


class Kept:
    """A place for repositories that notes what is put there."""

    def __init__(self) -> None:
        self.asked: list[Repository] = []
        self.there: set[Repository] = set()

    def has(self, repository: Repository) -> bool:
        return repository in self.there

    def fetch(self, repository: Repository, report: Report, stop: Stop) -> None:  # noqa: ARG002 - of the protocol
        self.asked.append(repository)
        self.there.add(repository)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def kit(server: FileServer, access: Access, tmp_path: Path, kept: Kept) -> Kit:
    folder = tmp_path / "models"
    gallery = Gallery(
        folder,
        sources=(Source("test", server.url("/index.yaml")),),
        access=access,
        repositories=kept,
    )
    made = Kit(server, gallery, folder)
    server.files["/bert.yaml"] = yaml.safe_dump(
        {
            "name": "doc",
            "description": "of the document",
            "config_file": yaml.safe_dump({"backend": "llama-cpp", "parameters": {"model": "bert.bin", "top_k": 80}}),
            "files": [made.file("shared.json", SHARED)],
            "prompt_templates": [{"name": "bert-chat", "content": "Q: {{.Input}}"}],
        }
    ).encode()
    made.entries(
        {
            "name": "bert",
            "url": server.url("/bert.yaml"),
            "overrides": {"parameters": {"model": "bert.gguf"}},
            "files": [made.file("bert.gguf")],
        },
        {
            "name": "owner__repo__f.q2_k.bin",
            "config_file": {"parameters": {"model": "f.bin"}},
            "files": [made.file("f.bin")],
        },
        {"name": "choice", "variants": [{"model": "bert"}, {"model": "owner__repo__f.q2_k.bin"}]},
    )
    return made


def test_an_entry_becomes_files_and_a_model_file(kit: Kit) -> None:
    done = kit.install(id="test@bert", overrides={"foo": "bar"})

    assert kit.config("bert") == {
        "name": "bert",
        "backend": "llama-cpp",
        "parameters": {"model": "bert.gguf", "top_k": 80},
        "foo": "bar",
    }
    assert kit.names() == ["._gallery_bert.yaml", "bert-chat.tmpl", "bert.gguf", "bert.yaml", "shared.json"]
    assert done.files == tuple(kit.folder / name for name in ("shared.json", "bert.gguf", "bert-chat.tmpl"))
    assert (kit.folder / "bert-chat.tmpl").read_text() == "Q: {{.Input}}"
    note = yaml.safe_load((kit.folder / "._gallery_bert.yaml").read_text())
    assert [file["filename"] for file in note["files"]] == ["shared.json", "bert.gguf"]


def test_what_is_available_says_what_is_installed(kit: Kit) -> None:
    kit.install(id="bert")

    entries, problems = kit.gallery.available()

    assert {each.entry.name: each.installed for each in entries} == {
        "bert": True,
        "owner__repo__f.q2_k.bin": False,
        "choice": False,
    }
    assert problems == ()


def test_a_name_of_its_own_and_further_files(kit: Kit) -> None:
    kit.install(id="bert", name="text-embedding-ada-002", files=[kit.file("more.txt", b"more")])

    assert kit.config("text-embedding-ada-002")["name"] == "text-embedding-ada-002"
    assert (kit.folder / "more.txt").read_bytes() == b"more"


def test_a_hub_path_as_a_name_installs_the_row_of_the_old_gallery(kit: Kit) -> None:
    kit.install(id="Owner/Repo/f.Q2_K.bin", name="Owner/Repo/f.Q2_K.bin")

    assert kit.config("Owner__Repo__f.Q2_K.bin")["name"] == "Owner/Repo/f.Q2_K.bin"


def test_a_document_is_installed_by_its_url_with_overrides(kit: Kit) -> None:
    kit.install(url=kit.server.url("/bert.yaml"), name="bert", overrides={"backend": "llama"})

    assert kit.config("bert") == {"name": "bert", "backend": "llama", "parameters": {"model": "bert.bin", "top_k": 80}}


def test_a_document_gives_the_name_where_nobody_else_does(kit: Kit) -> None:
    assert kit.install(url=kit.server.url("/bert.yaml")).name == "doc"


def test_a_document_in_the_models_folder_is_installed(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "sub").mkdir()
    path = kit.folder / "sub/described.yaml"
    path.write_text("backend: bert\nparameters: {model: x}\nusage: text\n")

    kit.install(url=path.as_uri())

    assert kit.config("described") == {
        "name": "described",
        "backend": "bert",
        "parameters": {"model": "x"},
        "usage": "text",
    }


@pytest.mark.parametrize("link", [False, True])
def test_a_file_outside_the_models_folder_is_neither_read_nor_told_of(kit: Kit, tmp_path: Path, link: bool) -> None:  # noqa: FBT001 - a parameter of the test
    secret = tmp_path / "secret.yaml"
    secret.write_text("backend: bert")
    kit.folder.mkdir()
    if link:
        (kit.folder / "secret.yaml").symlink_to(secret)
    said = []
    for path in ((kit.folder if link else tmp_path) / "secret.yaml", tmp_path / "absent.yaml"):
        with pytest.raises(InvalidInput, match="is not in a folder that textmill may install from") as caught:
            kit.install(url=path.as_uri())
        said.append(str(caught.value).replace(path.as_uri(), ""))

    assert said[0] == said[1]


def test_a_file_of_an_allowed_folder_is_copied(kit: Kit) -> None:
    kit.folder.mkdir()
    (kit.folder / "inside.gguf").write_bytes(WEIGHTS)

    kit.install(
        url=kit.server.url("/bert.yaml"),
        files=[{"filename": "copy.gguf", "uri": (kit.folder / "inside.gguf").as_uri(), "sha256": sha256(WEIGHTS)}],
    )

    assert (kit.folder / "copy.gguf").read_bytes() == WEIGHTS
    with pytest.raises(ModelBroken, match="nothing was kept"):
        kit.gallery.fetch(File(filename="again", uri=(kit.folder / "inside.gguf").as_uri(), sha256="0" * 64))
    assert not (kit.folder / "again.part").exists()


def test_a_hub_file_becomes_a_model(kit: Kit) -> None:
    kit.server.files["/o/r/resolve/main/dir/tiny.gguf"] = WEIGHTS

    kit.install(uri="hf://o/r/dir/tiny.gguf")

    assert kit.config("tiny") == {"name": "tiny", "parameters": {"model": "tiny.gguf"}}
    assert (kit.folder / "tiny.gguf").read_bytes() == WEIGHTS


def test_a_model_of_ollamas_registry_becomes_a_model(kit: Kit) -> None:
    digest = sha256(WEIGHTS)
    manifest = {
        "layers": [
            {"digest": f"sha256:{digest}", "size": len(WEIGHTS), "mediaType": "application/vnd.ollama.image.model"}
        ]
    }
    kit.server.files["/ollama/v2/library/gemma/manifests/2b"] = json.dumps(manifest).encode()
    kit.server.files[f"/ollama/v2/library/gemma/blobs/sha256:{digest}"] = WEIGHTS

    kit.install(uri="ollama://gemma:2b")

    assert kit.config("gemma-2b")["parameters"] == {"model": "gemma-2b.gguf"}
    assert (kit.folder / "gemma-2b.gguf").read_bytes() == WEIGHTS


@pytest.mark.parametrize(("title", "name"), [("weights.gguf", "weights.gguf"), ("../../x", "o-r-v1"), (None, "o-r-v1")])
def test_an_artefact_of_a_registry_has_the_name_that_it_gives_itself_if_that_is_plain(
    kit: Kit, title: str | None, name: str
) -> None:
    digest = sha256(WEIGHTS)
    layer = {"digest": f"sha256:{digest}", "size": len(WEIGHTS)}
    if title:
        layer["annotations"] = {"org.opencontainers.image.title": title}
    kit.server.files["/v2/o/r/manifests/v1"] = json.dumps({"layers": [layer]}).encode()
    kit.server.files[f"/v2/o/r/blobs/sha256:{digest}"] = WEIGHTS

    done = kit.install(uri=f"oci://{kit.server.host}/o/r:v1")

    assert done.files == (kit.folder / name,)


def test_a_whole_repository_is_fetched_by_the_hubs_code(kit: Kit, kept: Kept) -> None:
    kit.install(uri="o/r")

    assert kept.asked == [Repository("o/r")]
    assert kit.config("o__r") == {"name": "o/r", "parameters": {"model": "o/r"}}


def listed(kit: Kit, *files: str) -> None:
    kit.server.files["/api/models/o/r"] = json.dumps({"siblings": [{"rfilename": file} for file in files]}).encode()


def test_a_repository_of_gguf_files_becomes_the_usual_one_of_them(kit: Kit, kept: Kept) -> None:
    listed(kit, "README.md", "m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-Q4_K_M.gguf")
    kit.server.files["/o/r/resolve/main/m-Q4_K_M.gguf"] = WEIGHTS

    kit.install(uri="o/r")

    assert kit.config("o__r") == {"name": "o/r", "parameters": {"model": "m-Q4_K_M.gguf"}}
    assert (kit.folder / "m-Q4_K_M.gguf").read_bytes() == WEIGHTS
    assert kept.asked == []


def test_a_gguf_file_in_parts_is_fetched_in_all_of_them(kit: Kit) -> None:
    parts = [f"q8/m-q8-0000{number}-of-00002.gguf" for number in (1, 2)]
    listed(kit, *reversed(parts), "m-q4_k_m.gguf")
    for part in parts:
        kit.server.files[f"/o/r/resolve/main/{part}"] = part.encode()

    kit.install(uri="hf://o/r", variant="Q8", name="big")

    assert kit.config("big")["parameters"]["model"] == "m-q8-00001-of-00002.gguf"
    assert (kit.folder / "m-q8-00002-of-00002.gguf").read_bytes() == parts[1].encode()


def test_a_repository_with_other_weights_is_used_as_it_is(kit: Kit, kept: Kept) -> None:
    listed(kit, "model.safetensors", "config.json", "m-q4_k_m.gguf")

    kit.install(uri="o/r")

    assert kept.asked == [Repository("o/r")]


def test_a_repository_that_is_there_needs_no_network(kit: Kit, kept: Kept) -> None:
    kept.there.add(Repository("o/r"))

    kit.install(uri="o/r")

    assert kit.server.asked == []


def test_a_gguf_file_that_is_not_there_is_told_with_those_that_are(kit: Kit) -> None:
    listed(kit, "m-q4_k_m.gguf", "m-q8_0.gguf")

    with pytest.raises(InvalidInput, match=r"no GGUF file has 'q5' in its name; there are m-q4_k_m\.gguf, m-q8_0"):
        kit.install(uri="o/r", variant="q5")


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


def test_the_hosts_of_galleries_may_be_private_and_no_others(server: FileServer, tmp_path: Path) -> None:
    server.files["/index.yaml"] = b"- {name: a, config_file: {backend: x}}"
    source = Source("intra", server.url("/index.yaml"))

    def problems(gallery: Gallery) -> list[str]:
        return [each.sentence for each in gallery.available()[1]]

    assert problems(Gallery(tmp_path / "one", sources=(source,))) == []
    other = Source("other", "http://localhost:1/index.yaml")
    redirected = Source("hop", "http://127.0.0.1:1/", (server.url("/hop"),))
    server.always["/hop"] = Fault(redirect=f"http://localhost:{server.server_port}/index.yaml")
    quick = Access(patience=Patience(attempts=1))
    assert "private" in problems(Gallery(tmp_path / "two", sources=(redirected, other), access=quick))[0]


def test_a_variant_takes_the_entrys_name(kit: Kit) -> None:
    kit.install(id="choice")
    assert kit.config("choice")["parameters"]["model"] == "bert.gguf"
    kit.delete("choice")

    kit.install(id="choice", variant="owner__repo__f.q2_k.bin")
    assert kit.config("choice")["parameters"]["model"] == "f.bin"

    with pytest.raises(InvalidInput, match="has no variant 'x'; it has bert, owner__repo__f"):
        kit.install(id="choice", variant="x")


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

    with pytest.raises(InvalidInput, match="was not installed from a gallery"):
        kit.install(id="bert")
    assert (kit.folder / "bert.yaml").read_text() == "name: mine\n"


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

    assert list(kit.folder.iterdir()) == []


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


@pytest.mark.parametrize("sha256", ["abc", "z" * 64, "0" * 63])
def test_a_hash_that_is_none_is_told(kit: Kit, sha256: str) -> None:
    with pytest.raises(InvalidInput, match="no hash of 64 hex digits"):
        kit.gallery.fetch(File(filename="x", uri=kit.server.url("/bert.gguf"), sha256=sha256))


def test_hashes_are_taken_in_the_usual_spellings(kit: Kit) -> None:
    for number, spelling in enumerate((sha256(WEIGHTS).upper(), f"sha256:{sha256(WEIGHTS)}")):
        assert kit.gallery.fetch(
            File(filename=f"x{number}", uri=kit.server.url("/bert.gguf"), sha256=spelling)
        ).exists()


def test_a_repository_is_no_file(kit: Kit) -> None:
    with pytest.raises(InvalidInput, match="name a file in it"):
        kit.gallery.fetch(File(filename="x", uri="o/r"))
