"""Through the room's front: whatever can be wished becomes a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.gallery.kit import WEIGHTS, Kept, Kit, sha256

from textmill.errors import InvalidInput, ModelBroken
from textmill.gallery.access import Access, Patience
from textmill.gallery.entry import File, Source
from textmill.gallery.gallery import Gallery
from textmill.gallery.uri import Repository
from textmill.testing.fileserver import Fault, FileServer


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
