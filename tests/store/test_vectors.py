"""Sparse, multi-vector and hybrid embeddings beside sentence-transformers, on folders in every layout that is in use."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import sentence_transformers as st
import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from safetensors.numpy import load_file, save_file
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sparse_encoder import modules as sparse

from textmill.checkpoint.recipe import read_recipe
from textmill.checkpoint.source import Ask
from textmill.contract import Kind, RerankOptions, SparseVector
from textmill.errors import InvalidInput, ModelBroken, WrongTask
from textmill.store.load import load
from textmill.store.model import Model
from textmill.testing.checkpoints import tiny_bert, write_json

TEXTS = [
    "hello world",
    "the small river stone, and water.",
    "what is love",
    "a",
    "",
    "x " * 60,
    "the cat sat here. " * 4,
]
SIDES: tuple[Kind, ...] = ("document", "query")
TOLERANCE = 1e-5
Make = Callable[[Path], Path]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT whose tokenizer's files name all special tokens."""
    folder = tiny_bert(tmp_path_factory.mktemp("plain") / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer.mask_token = "[MASK]"  # noqa: S105 - no password
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def masked(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny masked language model."""
    folder = tmp_path_factory.mktemp("masked") / "mlm"
    known = json.loads((bert / "config.json").read_text())
    keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    torch.manual_seed(3)
    config = transformers.BertConfig(max_position_embeddings=64, **{key: known[key] for key in keys})
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(str(bert)).save_pretrained(folder)
    return folder


def transformer(folder: Path, **how: Any) -> Any:
    return Transformer(str(folder), **how)


def splade(masked: Path, folder: Path, **how: Any) -> Path:
    modules = [transformer(masked, transformer_task="fill-mask"), sparse.SpladePooling(**how)]
    st.SparseEncoder(modules=modules).save(str(folder))
    return folder


def inference_free(masked: Path, folder: Path) -> Path:
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(masked))
    weights = torch.rand(len(tokenizer.get_vocab()), generator=torch.Generator().manual_seed(1))
    queries = sparse.SparseStaticEmbedding(tokenizer=tokenizer, weight=weights)
    documents = [transformer(masked, transformer_task="fill-mask"), sparse.SpladePooling()]
    router = Router.for_query_document(query_modules=[queries], document_modules=documents)
    st.SparseEncoder(modules=[router]).save(str(folder))
    return folder


def native(bert: Path, folder: Path, expansion: dict[str, Any] | None) -> Path:
    """ColBERT as sentence-transformers saves it."""
    modules = [
        transformer(bert, query_expansion=expansion, document_length=20),
        Dense(32, 8, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"),
        MultiVectorMask(skiplist_words=[".", ","]),
        Normalize(module_input_name="token_embeddings"),
    ]
    st.MultiVectorEncoder(modules=modules, prompts={"query": "[Q] ", "document": "[D] "}).save(str(folder))
    return folder


def stanford(bert: Path, folder: Path) -> Path:
    """ColBERT in its original layout; words of the tiny vocabulary stand for its markers."""
    folder.mkdir()
    tensors = {f"bert.{name}": tensor for name, tensor in load_file(bert / "model.safetensors").items()}
    save_file(tensors | {"linear.weight": projection()}, folder / "model.safetensors")
    write_json(
        folder / "config.json", json.loads((bert / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    )
    settings = {"query_maxlen": 16, "doc_maxlen": 24, "query_token_id": "query", "doc_token_id": "passage"}
    write_json(folder / "artifact.metadata", settings | {"mask_punctuation": True})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert / name, folder / name)
    return folder


def pylate(bert: Path, folder: Path) -> Path:
    """ColBERT as PyLate saves it."""
    shutil.copytree(bert, folder)
    shutil.rmtree(folder / "1_Pooling")
    activation = {"activation_function": "torch.nn.modules.linear.Identity", "bias": False}
    write_json(folder / "1_Dense" / "config.json", {"in_features": 32, "out_features": 8, **activation})
    save_file({"linear.weight": projection()}, folder / "1_Dense" / "model.safetensors")
    kinds = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
    entries = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(kinds.items())]
    write_json(folder / "modules.json", entries)
    lengths = {"query_prefix": "query ", "document_prefix": "passage ", "query_length": 14, "document_length": 22}
    words = {"attend_to_expansion_tokens": True, "skiplist_words": list(string.punctuation)}
    write_json(folder / "config_sentence_transformers.json", {"prompts": {}, **lengths, **words})
    return folder


def bge_m3(bert: Path, folder: Path) -> Path:
    shutil.copytree(bert, folder)
    rng = np.random.default_rng(4)
    for name, width in (("sparse_linear", 1), ("colbert_linear", 16)):
        weight, bias = rng.standard_normal((width, 32)), rng.standard_normal(width)
        tensors = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


def projection() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((8, 32)).astype(np.float32)


def as_dense(vectors: list[SparseVector], size: int) -> npt.NDArray[np.float32]:
    made = np.zeros((len(vectors), size), np.float32)
    for row, vector in zip(made, vectors, strict=True):
        assert (np.diff(vector.indices) > 0).all()
        assert vector.values.all()
        row[vector.indices] = vector.values
    return made


@pytest.fixture(params=["openvino", "torch"])
def opened(request: pytest.FixtureRequest) -> Callable[[Path], Model]:
    return lambda folder: load(str(folder), dtype="float32", threads=1, backend=request.param)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make",
    [
        splade,
        lambda masked, folder: splade(masked, folder, activation_function="log1p_relu"),
        lambda masked, folder: splade(masked, folder, pooling_strategy="sum"),
        inference_free,
    ],
    ids=["max", "log1p", "sum", "inference-free"],
)
def test_sparse_vectors_equal_sentence_transformers(
    make: Callable[[Path, Path], Path], masked: Path, tmp_path: Path, opened: Callable[[Path], Model]
) -> None:
    folder = make(masked, tmp_path / "sparse")
    reference = st.SparseEncoder(str(folder), device="cpu")
    with opened(folder) as model:
        assert model.info.tasks == ("embed_sparse",)
        for kind in SIDES:
            encode = reference.encode_query if kind == "query" else reference.encode_document
            wanted = encode(TEXTS, convert_to_sparse_tensor=False).numpy()
            together = model.embed_sparse(TEXTS, kind=kind)
            np.testing.assert_allclose(as_dense(together, wanted.shape[1]), wanted, rtol=0, atol=TOLERANCE)
            alone = [model.embed_sparse([text], kind=kind)[0] for text in TEXTS]
            np.testing.assert_allclose(as_dense(alone, wanted.shape[1]), wanted, rtol=0, atol=TOLERANCE)


def test_top_keeps_the_largest_weights(masked: Path, tmp_path: Path, opened: Callable[[Path], Model]) -> None:
    with opened(splade(masked, tmp_path / "sparse")) as model:
        whole, cut = model.embed_sparse("hello world")[0], model.embed_sparse("hello world", top=5)[0]
    assert len(cut.indices) == 5
    assert cut.values.min() >= np.sort(whole.values)[-5]
    assert set(cut.indices) <= set(whole.indices)


def test_a_masked_language_model_is_splade_when_asked(masked: Path, bert: Path) -> None:
    assert set(read_recipe(masked).outputs) == {"dense", "tokens"}
    assert set(read_recipe(masked, Ask(pooling="splade")).outputs) == {"sparse"}
    with pytest.raises(ModelBroken, match="SPLADE pooling needs a model trained as a masked language model"):
        read_recipe(bert, Ask(pooling="splade"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make",
    [
        lambda bert, folder: native(bert, folder, {"strategy": "fixed", "length": 12, "attend": False}),
        lambda bert, folder: native(bert, folder, {"strategy": "min", "length": 12, "attend": True}),
        lambda bert, folder: native(bert, folder, None),
        stanford,
        pylate,
    ],
    ids=["native-fixed", "native-min", "native-plain", "stanford", "pylate"],
)
def test_multi_vectors_equal_sentence_transformers(
    make: Callable[[Path, Path], Path], bert: Path, tmp_path: Path, opened: Callable[[Path], Model]
) -> None:
    folder = make(bert, tmp_path / "late")
    reference = st.MultiVectorEncoder(str(folder), device="cpu")
    wanted: dict[Kind, list[Any]] = {}
    with opened(folder) as model:
        assert model.info.tasks == ("embed_multi", "embed_tokens", "rerank")
        for kind in SIDES:
            encode = reference.encode_query if kind == "query" else reference.encode_document
            wanted[kind] = cast("list[Any]", encode(TEXTS, convert_to_numpy=True))
            for made in (model.embed_multi(TEXTS, kind=kind), [model.embed_multi(t, kind=kind)[0] for t in TEXTS]):
                for vectors, expected in zip(made, wanted[kind], strict=True):
                    np.testing.assert_allclose(vectors, expected, rtol=0, atol=TOLERANCE)
        call = model._verbs.need(model._verbs.rerank, "rerank").call(TEXTS[0], TEXTS, RerankOptions())
        answer = model._line.answer_now(call)
        scores = answer.scores
        assert answer.query_tokens >= len(wanted["query"][0])
        with pytest.raises(InvalidInput, match="the query has a lone surrogate") as told:
            model.rerank("\ud800", TEXTS)
        assert (told.value.param, told.value.index) == ("query", None)
    expected = [(wanted["query"][0] @ document.T).max(axis=1).sum() for document in wanted["document"]]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_bge_m3_gives_all_three_from_one_pass(bert: Path, tmp_path: Path, opened: Callable[[Path], Model]) -> None:
    folder = bge_m3(bert, tmp_path / "m3")
    heads = [load_file(folder / f"{name}.safetensors") for name in ("sparse_linear", "colbert_linear")]
    with opened(folder) as model:
        assert model.info.tasks == (
            *("embed", "embed_chunks", "embed_sparse", "embed_multi", "embed_hybrid", "embed_tokens", "rerank"),
        )
        made = model.embed_hybrid(TEXTS)
        states = model.embed_tokens(TEXTS)
        np.testing.assert_allclose(made.dense, model.embed(TEXTS), atol=TOLERANCE)
        sparse_alone, multi_alone = model.embed_sparse(TEXTS), model.embed_multi(TEXTS)
    for index, state in enumerate(states):
        vectors = (state @ heads[1]["weight"].T + heads[1]["bias"])[1:]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(made.multi[index], vectors, atol=TOLERANCE)
        np.testing.assert_allclose(multi_alone[index], vectors, atol=TOLERANCE)
        weights = np.maximum(state @ heads[0]["weight"].T + heads[0]["bias"], 0)[:, 0]
        assert made.sparse[index].values.tolist() == pytest.approx(sparse_alone[index].values.tolist(), abs=TOLERANCE)
        assert set(made.sparse[index].values.round(3).tolist()) <= set(weights.round(3).tolist())


def test_pickled_heads_of_bge_m3_are_not_read_but_explained(
    bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bge_m3(bert, tmp_path / "m3")
    for name in ("sparse_linear", "colbert_linear"):
        (folder / f"{name}.safetensors").rename(folder / f"{name}.pt")
    assert set(read_recipe(folder).outputs) == {"dense", "tokens"}
    assert "torch.load(f'{n}.pt', weights_only=True)" in caplog.text.replace("'\"'\"'", "'")


def test_a_verb_that_the_model_does_not_have_says_what_it_can_do(bert: Path) -> None:
    with (
        load(str(bert), threads=1) as model,
        pytest.raises(WrongTask, match="cannot embed_sparse; it can embed, embed_chunks"),
    ):
        model.embed_sparse("a")
