from __future__ import annotations

from pathlib import Path

import pytest

from textmill.cli.llamacpp import gguf_need, given, given_gguf, load_gguf, weigh_gguf
from textmill.config import ServeOptions
from textmill.errors import ModelBroken
from textmill.folder.scan import scan
from textmill.providers.llamacpp.memory import BESIDE
from textmill.providers.usual import usual_of
from textmill.testing.gguf_llama import chain_gguf


def test_what_the_server_says_of_all_gguf_models() -> None:
    options = ServeOptions(threads=3, llamacpp_parallel=6, llamacpp_grpc_servers="host:50052")

    made = given(options)

    assert (made.threads, made.parallel, made.workers) == (3, 6, "host:50052")
    assert given(ServeOptions()).threads >= 1


def test_a_file_is_given_by_its_path_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    chain_gguf(tmp_path / "blobs/abc", "Hello there!")
    link = tmp_path / "m.gguf"
    link.symlink_to("blobs/abc")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF but no more")

    plain, called = given_gguf(str(link), None), given_gguf(str(link), "chat")

    assert plain is not None
    assert called is not None
    assert (plain.name, called.name, plain.engine) == ("m.gguf", "chat", "gguf")
    assert given_gguf(str(tmp_path), None) is None
    assert given_gguf("owner/none.gguf", None) is None
    with pytest.raises(ModelBroken, match=r"bad\.gguf"):
        given_gguf(str(tmp_path / "bad.gguf"), None)

    model = load_gguf(called, ServeOptions(threads=1), usual_of(called, tmp_path))
    assert (model.info.name, model.info.tasks) == ("chat", ("chat", "complete"))
    model.close(0.0)


def test_a_model_in_parts_weighs_all_of_them_and_what_goes_with_it_counts(tmp_path: Path) -> None:
    first = chain_gguf(tmp_path / "m-00001-of-00002.gguf", "Hello there!")
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(1000))
    (tmp_path / "adapter").write_bytes(bytes(500))
    (tmp_path / "e.yaml").write_text(
        "name: m\nmodel: m-00001-of-00002.gguf\nlora_adapter: adapter\noptions: [parallel:1]\n"
    )
    file = scan(tmp_path).by_name["m"]
    options = ServeOptions(models_path=str(tmp_path), threads=1)

    weights = weigh_gguf(file, options)

    assert weights == first.stat().st_size + 1000
    cache = 4096 * 64 * 2  # tokens, numbers for each, bytes of each
    assert gguf_need(file, options, weights) == weights + 500 + cache + BESIDE
    assert sum(stamp.size for stamp in file.stamps) == weights
