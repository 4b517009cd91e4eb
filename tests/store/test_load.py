"""From a name and options to a model that answers."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from textmill.config import ModelOptions
from textmill.contract import BatchReport
from textmill.errors import (
    ConfigInvalid,
    InvalidInput,
    ModelBroken,
    ModelNotFound,
    TextmillError,
    Unavailable,
)
from textmill.store.load import load, load_model, weigh
from textmill.tasks.line import WINDOW
from textmill.testing.checkpoints import DenseModule, NormalizeModule, tiny_bert, tiny_qwen3
from textmill.testing.hub import COMMIT, fake_hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny", prompts={"query": "ask: "})


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("make", [tiny_bert, tiny_qwen3])
def test_a_folder_becomes_a_model_that_answers_the_same_on_every_backend(
    tmp_path: Path, backend: str, make: Callable[..., Path]
) -> None:
    folder = make(tmp_path / "tiny")
    with (
        load(str(folder), backend=backend, dtype="float32", threads=1) as model,
        load(str(folder), backend="openvino", dtype="float32", threads=1) as reference,
    ):
        texts = ["hello world", "", "a longer text with more words"]
        assert np.allclose(model.embed(texts), reference.embed(texts), atol=1e-5)
        assert model.info.runtime == backend


def test_info_says_what_the_model_is(folder: Path) -> None:
    with load(str(folder), dtype="float32", threads=1, max_batch_tokens=128) as model:
        info = model.info
    assert (info.name, info.architecture, info.pooling) == ("tiny", "bert", "mean")
    assert (info.dimensions, info.max_tokens, info.prompts) == (32, 32, ("query",))
    assert (info.dtype, info.threads, info.batch_tokens) == ("float32", 1, 128)


def test_fingerprints_tell_apart_what_vectors_depend_on(folder: Path, tmp_path: Path) -> None:
    def fingerprint(where: Path, **options: object) -> str:
        with load(str(where), threads=1, **options) as model:
            return model.info.fingerprint

    other_weights = tiny_bert(tmp_path / "weights", seed=1, prompts={"query": "ask: "})
    other_config = tiny_bert(tmp_path / "config", prompts={"query": "ask: "})
    change_config(other_config, layer_norm_eps=1e-6)
    made = [
        fingerprint(folder, dtype="float32"),
        fingerprint(folder, dtype="bfloat16", backend="torch"),  # OpenVINO has it on some CPUs only
        fingerprint(other_weights, dtype="float32"),
        fingerprint(other_config, dtype="float32"),
    ]
    assert len(set(made)) == len(made)
    assert fingerprint(folder, dtype="float32", backend="torch") == made[0]


def test_a_single_text_counts_as_a_list_of_one(folder: Path) -> None:
    with load(str(folder)) as model:
        assert model.embed("hello").shape == (1, 32)


async def test_sync_and_async_calls_give_the_same_inside_a_running_loop(folder: Path) -> None:
    with load(str(folder), dtype="float32") as model:
        assert np.allclose(model.embed(["hello"]), await model.aembed(["hello"]), atol=1e-6)


def test_threads_share_a_model(folder: Path) -> None:
    texts = [f"text number {i}" for i in range(50)]
    with load(str(folder), dtype="float32") as model, ThreadPoolExecutor(8) as pool:
        together = model.embed(texts)
        alone = np.concatenate(list(pool.map(lambda text: model.embed([text]), texts)))
    assert np.abs(together - alone).max() <= 1e-5


def test_batches_are_observed_under_the_model_s_name(folder: Path) -> None:
    seen: list[tuple[str, BatchReport]] = []
    with load_model(str(folder), ModelOptions(), lambda name, report: seen.append((name, report))) as model:
        model.embed(["hello", "world"])
    assert [(name, report.rows) for name, report in seen] == [("tiny", 2)]


def test_a_closed_model_says_so(folder: Path) -> None:
    model = load(str(folder))
    assert model.ready
    model.close()
    model.close()
    assert not model.ready
    with pytest.raises(Unavailable, match="tiny"):
        model.embed(["hello"])


def test_a_model_gets_warm_by_itself(folder: Path) -> None:
    with load(str(folder), threads=1) as model:
        assert model.wait_until_warm(20)


def test_an_unknown_option_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match="dtype"):
        load(str(folder), dtypes="float32")


def test_an_unknown_backend_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match="openvino"):
        load(str(folder), backend="jax")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        load(str(tmp_path / "nowhere"))


def truncate_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def remove_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate_weights, "model.safetensors"),
        (remove_tokenizer, "tokenizer.json"),
        (lambda folder: change_config(folder, intermediate_size=48), "shape"),
        (lambda folder: change_config(folder, model_type="bard"), "bard"),
        (lambda folder: change_config(folder, hidden_act="swoosh"), "swoosh"),
        (lambda folder: change_config(folder, num_hidden_layers=3), "encoder.layer.2"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
    ],
    ids=["weights", "tokenizer", "shapes", "family", "activation", "layers", "json"],
)
def test_a_broken_folder_is_one_sentence_that_names_what_is_wrong(tmp_path: Path, damage: object, message: str) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    assert callable(damage)
    damage(folder)
    before = set(threading.enumerate())
    with pytest.raises(ModelBroken, match=message) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, TextmillError)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


async def test_a_closed_model_says_so_to_long_texts_too(folder: Path) -> None:
    model = load(str(folder))
    model.close()
    with pytest.raises(Unavailable):
        await model.aembed(["word " * 1000])


def test_loading_reaches_no_network_and_starts_no_process(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
import threading
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(("socket.", "os.fork", "subprocess.")) else None)
import textmill
with textmill.load({str(folder)!r}) as model:
    model.embed("hello")
print(seen)
"""
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert ended.stdout == "[]\n"
    assert not list(tmp_path.iterdir())


def test_a_process_that_never_closes_its_model_ends_well(folder: Path) -> None:
    code = f"import textmill; model = textmill.load({str(folder)!r}); print(model.embed('hello').shape)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "(1, 32)\n", "")


def test_a_model_that_nobody_holds_is_closed(folder: Path) -> None:
    model = load(str(folder))
    thread = model._engine._thread
    assert thread is not None
    del model
    thread.join(10)
    assert not thread.is_alive()


def test_no_texts_give_no_vectors(folder: Path) -> None:
    with load(str(folder)) as model:
        assert model.embed([]).shape == (0, 32)
        assert model.embed([], dimensions=8).shape == (0, 8)
        for dimensions in (0, -3, 33):
            with pytest.raises(InvalidInput, match=f"dimensions is {dimensions}; this model gives 1 to 32"):
                model.embed([], dimensions=dimensions)


def test_closing_answers_a_call_under_way_to_its_end(folder: Path) -> None:
    model = load(str(folder), threads=1)
    texts = [f"text {i}" for i in range(3 * WINDOW)]
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(model.embed, texts)
        while model.waiting == (0, 0) and not call.done():
            time.sleep(0.001)
        model.close(drain_s=15)
        assert call.result(1).shape == (len(texts), 32)


def test_a_model_cannot_be_pickled_and_says_what_to_do(folder: Path) -> None:
    with load(str(folder)) as model, pytest.raises(TypeError, match="send its name"):
        pickle.dumps(model)


def test_a_forked_child_is_told_to_load_its_own(folder: Path) -> None:
    code = f"""
import os, sys, textmill
model = textmill.load({str(folder)!r})
child = os.fork()
if child == 0:
    try:
        model.embed("hello")
    except textmill.Unavailable as error:
        print("another process" in str(error), model.ready, model.wait_until_warm())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(model.embed("hello").shape)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=15)  # noqa: S603 - our own code
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True False False\n(1, 32)\n", "")


def test_tensors_that_config_json_has_no_place_for_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "tiny")
    change_config(tmp_path / "tiny", num_hidden_layers=1)
    with pytest.raises(ModelBroken, match=r"encoder\.layer\.1\..* has no place .*\(nor have 15 others\)"):
        load(str(tmp_path / "tiny"))


def test_a_load_that_failed_leaves_the_process_able_to_end(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    remove_tokenizer(folder)
    code = f"import textmill\ntry:\n    textmill.load({str(folder)!r})\nexcept textmill.ModelBroken:\n    print('told')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told\n", "")


async def test_leaving_a_block_on_the_loop_does_not_wait_for_answers_that_the_loop_has_yet_to_take(
    folder: Path,
) -> None:
    model = load(str(folder), threads=1)
    call = asyncio.create_task(model.aembed(["hello"]))
    await asyncio.sleep(0)
    await asyncio.to_thread(model._engine.wait_until_warm, 10)
    model.close(drain_s=60)
    assert (await call).shape == (1, 32)


def test_closing_may_take_for_ever(folder: Path) -> None:
    model = load(str(folder), threads=1)
    model.close(float("inf"))
    assert not model.ready


def test_a_model_can_be_called_otherwise_and_keeps_its_own_name_beside(folder: Path) -> None:
    seen: list[str] = []
    options = ModelOptions(dtype="float32", threads=1)
    with load_model(str(folder), options, lambda name, _: seen.append(name), called="mine") as model:
        model.embed(["a text"])

        assert model.info.name == "mine"
        assert set(model.info.aliases) == {"tiny", str(folder)}
    assert set(seen) == {"mine"}


@pytest.mark.parametrize("options", [{"default_prompt_name": "query"}, {"default_prompt": "ask: "}])
def test_a_default_prompt_stands_before_texts_whose_call_names_none(folder: Path, options: dict[str, str]) -> None:
    with (
        load(str(folder), dtype="float32", threads=1) as plain,
        load(str(folder), dtype="float32", threads=1, **options) as model,
    ):
        assert np.array_equal(model.embed(["a text"]), plain.embed(["a text"], prompt="ask: "))
        assert np.array_equal(model.embed(["a text"], prompt=""), plain.embed(["a text"]))
        assert model.info.default_prompt == options.get("default_prompt_name")
        assert model.info.fingerprint != plain.info.fingerprint


def test_an_empty_default_prompt_switches_the_models_own_off(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny", prompts={"query": "ask: "}, default_prompt_name="query")
    with load(str(folder), dtype="float32", threads=1, default_prompt="") as model:
        assert np.array_equal(model.embed(["a text"]), model.embed(["a text"], prompt=""))


def test_an_unknown_default_prompt_is_refused_with_those_that_there_are(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"default_prompt_name is 'qeury', but the prompts of .* are: query"):
        load(str(folder), default_prompt_name="qeury")


def test_inputs_can_be_kept_shorter_than_the_model_takes(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with load(str(folder), dtype="float32", threads=1, max_input_length=8) as model:
        assert model.info.max_tokens == 8
        with pytest.raises(InvalidInput, match="at most 8"):
            model.embed(["one two three four five six seven eight nine"], truncate=False)
    assert "takes 32 tokens, but inputs are kept to 8" in caplog.text
    with load(str(folder), dtype="float32", threads=1, max_input_length=999) as model:
        assert model.info.max_tokens == 32


def test_inputs_can_be_longer_than_the_files_say_as_far_as_there_are_positions(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with load(str(folder), dtype="float32", threads=1, max_seq_length=64) as model:
        assert model.info.max_tokens == 64
        words = " ".join("abcdefghij" * 4)
        assert not np.allclose(model.embed([words]), model.embed([words[:50]]), atol=1e-3)
    assert "tokens at most" not in caplog.text
    with load(str(folder), dtype="float32", threads=1, max_seq_length=512) as model:
        assert model.info.max_tokens == 64
    assert "takes 64 tokens at most, so inputs are cut there and not at 512" in caplog.text


def test_batches_have_the_rows_and_tokens_that_are_asked_for(folder: Path) -> None:
    reports: list[BatchReport] = []
    texts = [f"text {number}" for number in range(40)]
    options = ModelOptions(dtype="float32", threads=1, max_batch_requests=3, tokenization_workers=1)
    with load_model(str(folder), options, lambda _, report: reports.append(report)) as model:
        model.embed(texts)

        assert (model.info.batch_rows, model.info.tokenization_workers) == (3, 1)
    assert max(report.rows for report in reports) == 3


@pytest.mark.parametrize(("given", "budget"), [(64, 64), (1 << 20, None)])
def test_fitted_batches_are_no_larger_than_the_backends_choice(folder: Path, given: int, budget: int | None) -> None:
    with (
        load(str(folder), dtype="float32", threads=1) as own,
        load(str(folder), dtype="float32", threads=1, max_batch_tokens=given, fit_batches=True) as model,
    ):
        assert model.info.batch_tokens == (budget or own.info.batch_tokens)


def test_another_dense_module_can_be_named(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny", modules=[DenseModule(16)])
    [dense] = [path for path in folder.iterdir() if path.name.endswith("_Dense")]
    other = tiny_bert(tmp_path / "other", modules=[DenseModule(8)])
    shutil.copytree(other / dense.name, folder / "2_Dense_8")

    with load(str(folder), dtype="float32", threads=1, dense_path="2_Dense_8") as model:
        assert model.info.dimensions == 8
        assert model.embed(["a text"]).shape == (1, 8)
    with pytest.raises(ModelBroken, match=r"dense_path '2_Dense_9' is no folder of .*2_Dense, 2_Dense_8"):
        load(str(folder), dense_path="2_Dense_9")


def test_a_dense_path_means_nothing_to_a_model_without_a_dense_module(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with load(str(folder), dtype="float32", threads=1, dense_path="2_Dense") as model:
        assert model.info.dimensions == 32
    assert "has 0 Dense modules" in caplog.text


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "HF_MIRROR"])
def test_a_model_comes_from_the_hub_that_the_environment_names(
    variable: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("HF_ENDPOINT", "HF_MIRROR", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with fake_hub() as hub:
        hub.folder = folder
        monkeypatch.setenv(variable, f"{hub.endpoint}/")
        options = ModelOptions(threads=1, cache_dir=str(tmp_path))
        assert weigh("owner/tiny", options) == (folder / "model.safetensors").stat().st_size
        with load_model("owner/tiny", options) as model:
            assert model.info.revision == COMMIT


def test_an_address_of_the_hub_that_is_none_is_said_in_our_words_and_what_is_cached_loads(
    folder: Path, tmp_path: Path
) -> None:
    stored = tmp_path / "cache" / "huggingface" / "hub" / "models--owner--tiny"
    shutil.copytree(folder, stored / "snapshots" / COMMIT)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(COMMIT)
    # In a process of its own: huggingface_hub takes the variable apart when it is imported.
    script = """
import textmill
for name in ("owner/tiny", "owner/other"):
    try:
        print(textmill.load(name, threads=1).info.revision)
    except textmill.DownloadFailed as error:
        print(error)
"""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}  # noqa: TID251 - to pass it on
    for address in ("http://[bad", "hub.local", "http://u:s3cret@h:port"):
        environ = {
            **kept,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "HF_ENDPOINT": address,
        }
        told = subprocess.run([sys.executable, "-c", script], env=environ, text=True, capture_output=True, check=False)  # noqa: S603 - ours
        assert told.stdout.splitlines() == [
            COMMIT,
            (
                "owner/other is not in the cache, and cannot be fetched: HF_ENDPOINT is no URL of http or https; "
                "give it one, such as https://host:port, or unset it"
            ),
        ], told.stderr


@pytest.mark.parametrize(
    ("modules", "normalized"), [((NormalizeModule(),), True), ((), False), ((NormalizeModule(), DenseModule(8)), False)]
)
def test_info_says_whether_the_files_of_a_model_end_in_normalising(
    tmp_path: Path, modules: tuple[DenseModule | NormalizeModule, ...], *, normalized: bool
) -> None:
    with load(str(tiny_bert(tmp_path / "tiny", modules=modules)), dtype="float32", threads=1) as model:
        assert model.info.normalized is normalized
