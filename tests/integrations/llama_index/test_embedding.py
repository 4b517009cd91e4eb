from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import logging
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.embeddings.textmill import TextmillEmbedding

import textmill
from textmill.testing.checkpoints import tiny_bert

SECRET = "hf_" + "not a token"
TEXTS = ["The mill turns.", "Water drives the wheel."]


def test_the_arguments_are_theirs_in_their_order() -> None:
    theirs, ours = (
        list(inspect.signature(each.__init__).parameters) for each in (HuggingFaceEmbedding, TextmillEmbedding)
    )

    assert ours[:-1] == theirs[:-1]
    assert set(HuggingFaceEmbedding.model_fields) <= set(TextmillEmbedding.model_fields)


def test_all_that_reaches_sentence_transformers_is_taken(tiny: Path) -> None:
    model = TextmillEmbedding(
        str(tiny), token=SECRET, max_length=16, tokenizer_kwargs={"model_max_length": 9}, config_kwargs={}, truncate_dim=8,
        local_files_only=True, revision="main", similarity_fn_name="dot", default_prompt_name="query",
        num_workers=2, embeddings_cache=SimpleKVStore(), rate_limiter=TokenBucketRateLimiter(requests_per_minute=600),
        parallel_process=True, target_devices=["cpu", "cpu"], backend="openvino",
    )  # fmt: skip

    assert isinstance(model, BaseEmbedding)
    assert (model.max_length, model.num_workers, len(model.get_text_embedding("a"))) == (16, 2, 8)
    assert (model._device, model._target_devices, model._parallel_process) == ("cpu", ["cpu", "cpu"], True)
    assert model._model.max_seq_length == 16


@pytest.mark.parametrize("name", ["tokenizer_kwargs", "processor_kwargs"])
def test_what_the_tokenizer_is_told_goes_by_its_older_and_its_newer_name(name: str, tiny: Path) -> None:
    given: dict[str, Any] = {name: {"model_max_length": 9}}
    model = TextmillEmbedding(str(tiny), **given)
    assert (model.max_length, model.tokenizer_kwargs) == (9, {"model_max_length": 9})


def test_a_dump_leaves_the_length_open_that_nobody_gave(tiny: Path) -> None:
    assert TextmillEmbedding(str(tiny)).to_dict()["max_length"] is None


def test_what_is_unknown_or_without_effect_is_a_warning(tiny: Path) -> None:
    with pytest.warns(UserWarning, match="no use for modules, prompts"):
        TextmillEmbedding(str(tiny), modules=[], prompts={})
    with pytest.warns(UserWarning, match=r"config_kwargs\['rope'\]"):
        TextmillEmbedding(str(tiny), trust_remote_code=True, config_kwargs={"rope": 1})


def test_values_that_sentence_transformers_takes_in_other_forms(tiny: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SimilarityFunction  # noqa: PLC0415 - it imports PyTorch

    given: dict[str, Any] = {
        "device": torch.device("cpu"), "cache_folder": tmp_path, "similarity_fn_name": SimilarityFunction.DOT_PRODUCT,
        "target_devices": [torch.device("cpu")], "max_length": 0, "trust_remote_code": None, "local_files_only": None,
        "backend": None, "revision": None, "model_kwargs": None, "tokenizer_kwargs": {"model_max_length": 40},
    }  # fmt: skip
    model = TextmillEmbedding(tiny, **given)  # type: ignore[arg-type]

    assert (model.device, model.cache_folder, model.target_devices) == ("cpu", str(tmp_path), ["cpu"])
    assert (model.similarity_fn_name, model.backend, model.max_length) == ("dot", "torch", 40)
    assert TextmillEmbedding.from_json(model.to_json()).to_dict() == model.to_dict()


def test_of_the_devices_of_several_processes_the_first_is_used(tiny: Path) -> None:
    with pytest.warns(UserWarning, match="of the devices cpu, cpu:1 the first is used"):
        model = TextmillEmbedding(str(tiny), device="cuda:7", parallel_process=True, target_devices=["cpu", "cpu:1"])
    assert model._device == "cpu"
    with pytest.raises(textmill.ConfigInvalid, match="cuda"):
        TextmillEmbedding(str(tiny), device="cuda:7", target_devices=["cpu"])


@pytest.mark.parametrize("name", ["tokenizer_name", "pooling", "model", "tokenizer"])
def test_what_they_have_deprecated_is_refused_as_they_do(name: str, tiny: Path) -> None:
    given: dict[str, Any] = {name: None}
    with pytest.raises(ValueError, match=name):
        TextmillEmbedding(str(tiny), **given)


def test_no_name_is_refused_as_they_do() -> None:
    with pytest.raises(ValueError, match="model_name"):
        TextmillEmbedding(model_name=None)  # type: ignore[arg-type]


def test_the_models_own_prompts_stand_before_texts_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A model of its own name: what was said of another is not said again.
    tiny = tiny_bert(tmp_path / "said", prompts={"query": "search for: ", "document": "read this: "})
    caplog.set_level(logging.INFO)
    model = TextmillEmbedding(str(tiny))
    TextmillEmbedding(str(tiny))
    bare = TextmillEmbedding(str(tiny), query_instruction="", text_instruction="")

    assert model.get_query_embedding("mill") == pytest.approx(bare.get_query_embedding("search for: mill"), abs=1e-5)
    assert model.get_text_embedding("mill") == pytest.approx(bare.get_text_embedding("read this: mill"), abs=1e-5)
    assert model.get_query_embedding("mill") != pytest.approx(bare.get_query_embedding("mill"), abs=1e-3)
    assert "runs on openvino" in caplog.text
    assert caplog.text.count("before each query stands 'search for: '") == 1
    assert caplog.text.count("before each document stands 'read this: '") == 1


def test_an_instruction_counts_before_the_models_prompt(tiny: Path) -> None:
    model = TextmillEmbedding(str(tiny), query_instruction="find ", text_instruction="")

    assert (
        model._model.encode(["a"], prompt_name="query").tolist() == model._model.encode(["a"], prompt="find ").tolist()
    )
    assert model.get_text_embedding("a") == model._model.encode("a", prompt="", normalize_embeddings=True).tolist()
    assert np.array_equal(model._model.encode_query("a"), model._model.encode("a", prompt="find "))
    documents = model._model.encode_document(["a", "b"])
    assert np.array_equal(documents, model._model.encode(["a", "b"], prompt=""))
    assert documents.shape == (2, model._model.get_embedding_dimension())


def test_a_dump_has_everything_but_secrets(tiny: Path) -> None:
    arguments: dict[str, Any] = {"max_length": 9, "query_instruction": "", "truncate_dim": 5, "num_workers": 3,
                                 "prompt_policy": "llamaindex", "load_kwargs": {"threads": 1}, "device": "cpu"}  # fmt: skip
    model = TextmillEmbedding(
        str(tiny), token=SECRET, model_kwargs={"dtype": np.dtype("float32"), "token": SECRET}, use_auth_token=SECRET,
        embeddings_cache=SimpleKVStore(), **arguments,
    )  # fmt: skip

    dumped = model.to_dict()
    again = TextmillEmbedding.from_json(model.to_json())

    assert {name: dumped[name] for name in arguments} == arguments
    assert dumped["class_name"] == "TextmillEmbedding"
    assert again.to_dict() == TextmillEmbedding.from_dict(dumped).to_dict() == dumped
    assert TextmillEmbedding.model_validate(dumped).to_dict() == dumped
    assert again.get_query_embedding("a") == model.get_query_embedding("a")
    assert SECRET not in repr((dumped, model, model.to_json(), model.to_payload())) + repr(pickle.dumps(model))


def test_copies_and_pickles_share_the_loaded_model(tiny: Path) -> None:
    model = TextmillEmbedding(str(tiny))

    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), TextmillEmbedding(str(tiny))):  # noqa: S301 - ours
        assert again._model.model._engine is model._model.model._engine
        assert again.to_dict() == model.to_dict()


def test_another_folder_of_the_same_relative_name_is_another_model(
    tmp_path: Path, tiny: Path, reranker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del reranker
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
    (tmp_path / "one/model").symlink_to(tiny)
    monkeypatch.chdir(tmp_path / "one")
    first = TextmillEmbedding("model")
    monkeypatch.chdir(tmp_path / "other")

    with pytest.raises(textmill.ModelNotFound):
        TextmillEmbedding("model")
    assert first._model.model._engine is TextmillEmbedding(str(tiny))._model.model._engine


def test_the_model_closes_when_the_last_of_those_who_have_it_goes(tiny: Path) -> None:
    one = TextmillEmbedding(str(tiny), load_kwargs={"threads": 1})
    other = TextmillEmbedding(str(tiny), load_kwargs={"threads": 1})
    engine = one._model.model._engine

    del one
    gc.collect()
    assert other.get_text_embedding("a")
    del other
    gc.collect()
    end = time.monotonic() + 10.0
    while engine.ready:  # it is closed in a thread of its own
        assert time.monotonic() < end, "the model is still there"
        time.sleep(0.01)


async def test_many_asynchronous_calls_go_to_the_engine_together(tiny: Path) -> None:
    model = TextmillEmbedding(str(tiny), embed_batch_size=7)
    texts = [f"text {number}" for number in range(100)]

    batches = await asyncio.gather(*(model.aget_text_embedding_batch(texts) for _ in range(5)))
    query = await model.aget_query_embedding("a")

    expected = model.get_text_embedding_batch(texts)
    assert all(np.allclose(batch, expected, atol=1e-5) for batch in batches)
    assert query == pytest.approx(model.get_query_embedding("a"), abs=1e-5)
    assert await model.aget_text_embedding("a") == pytest.approx(model.get_text_embedding("a"), abs=1e-5)
    assert await model.aget_agg_embedding_from_queries(["a", "a"]) == pytest.approx(query, abs=1e-5)


async def test_synchronous_calls_work_where_a_loop_runs(tiny: Path) -> None:
    assert len(TextmillEmbedding(str(tiny)).get_text_embedding("a")) == 32


def test_a_rate_limiter_and_a_cache_do_their_part(tiny: Path) -> None:
    cache = SimpleKVStore()
    limiter = TokenBucketRateLimiter(requests_per_minute=6000)
    model = TextmillEmbedding(str(tiny), embeddings_cache=cache, rate_limiter=limiter)

    assert model.get_text_embedding_batch(TEXTS) == model.get_text_embedding_batch(TEXTS)
    assert len(cache.get_all("embeddings")) == 2


def test_a_progress_bar_changes_nothing_else(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = TEXTS * 200
    model = TextmillEmbedding(str(tiny), show_progress_bar=True)

    assert np.allclose(
        model.get_text_embedding_batch(texts), TextmillEmbedding(str(tiny)).get_text_embedding_batch(texts), atol=1e-5
    )
    assert "Embedding" in capfd.readouterr().err


def test_inputs_of_the_encoder_have_an_older_name_too(tiny: Path) -> None:
    encoder = TextmillEmbedding(str(tiny))._model

    assert encoder.encode(sentences="a").tolist() == encoder.encode("a").tolist()
    with pytest.raises(TypeError, match="no inputs"):
        encoder.encode()


def test_similarity_is_theirs_and_that_of_sentence_transformers(tiny: Path) -> None:
    model = TextmillEmbedding(str(tiny))
    one, other = model.get_text_embedding_batch(TEXTS)

    assert model.similarity(one, other) == pytest.approx(model._model.similarity(one, [one, other])[0, 1], abs=1e-6)
    assert model.similarity(one, other, "euclidean") == pytest.approx(-np.linalg.norm(np.subtract(one, other)))  # type: ignore[arg-type]
    assert model.similarity(one, other, "dot_product") == pytest.approx(np.dot(one, other))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_every_similarity_is_that_of_sentence_transformers(name: Any, tiny: Path) -> None:
    from sentence_transformers import SimilarityFunction  # noqa: PLC0415 - it imports PyTorch

    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((3, 8), np.float32), rng.standard_normal((2, 8), np.float32)
    model = TextmillEmbedding(str(tiny), similarity_fn_name=name)

    expected = SimilarityFunction.to_similarity_fn(name)(one, other).numpy()
    np.testing.assert_allclose(model._model.similarity(one, other), expected, atol=1e-5)


async def test_images_are_refused(tiny: Path) -> None:
    model = TextmillEmbedding(str(tiny))

    with pytest.raises(NotImplementedError, match="texts only"):
        model.get_image_embedding("a.png")
    with pytest.raises(NotImplementedError, match="texts only"):
        await model.aget_image_embedding("a.png")


def test_pytorch_is_not_imported(tiny: Path) -> None:
    import subprocess  # noqa: PLC0415 - for this test alone

    program = (
        "import sys; from llama_index.embeddings.textmill import TextmillEmbedding as E;"
        f"E({str(tiny)!r}).get_text_embedding('a'); sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    path = ":".join(sys.path)
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path, "HOME": str(tiny)}, check=True)  # noqa: S603 - ours
