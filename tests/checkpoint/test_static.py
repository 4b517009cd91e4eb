from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sentence_transformers
from safetensors.numpy import save_file
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

import textmill
from textmill.checkpoint.cache import missing_files
from textmill.checkpoint.recipe import read_recipe
from textmill.checkpoint.static import MAX_TOKENS
from textmill.errors import InvalidInput, ModelBroken

Floats = npt.NDArray[Any]

WORDS = ("[UNK]", "[CLS]", "the", "mill", "stood", "where", "river", "bent")
TEXTS = ["the mill stood", "", "the", "  ", "where the river bent " * 50, "unknown words bent"]
TOLERANCE = 1e-5


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    return made


def table(rows: int = len(WORDS)) -> Floats:
    return np.random.default_rng(5).normal(size=(rows, 6)).astype(np.float32)


def model2vec(folder: Path, tensors: Mapping[str, Floats], **config: Any) -> Path:
    """A folder as model2vec saves it, without modules.json."""
    folder.mkdir(exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", **config}), encoding="utf-8")
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


VARIANTS: dict[str, dict[str, Floats]] = {
    "plain": {"embeddings": table()},
    "half": {"embeddings": table().astype(np.float16)},
    "int8": {"embeddings": (table() * 40).astype(np.int8)},
    "weights": {"embeddings": table(), "weights": np.linspace(0.1, 2, len(WORDS))},
    "shared": {
        "embeddings": table(3),
        "mapping": np.array([0, 1, 2, 2, 1, 0, 1, 2]),
        "weights": np.linspace(0.5, 2, len(WORDS)).astype(np.float32),
    },
}


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("more", [[], [Normalize()]])
def test_a_model_of_sentence_transformers_equals_it(backend: str, more: list[Normalize], tmp_path: Path) -> None:
    modules = [StaticEmbedding(tokenizer(), embedding_weights=table()), *more]
    reference = sentence_transformers.SentenceTransformer(modules=modules, device="cpu")
    reference.save(str(tmp_path))

    with textmill.load(str(tmp_path), backend=backend, dtype="float32") as model:
        together = model.embed(TEXTS, normalize=bool(more))
        alone = np.concatenate([model.embed([text], normalize=bool(more)) for text in TEXTS])
        limit = model.info.max_tokens

    expected = reference.encode(TEXTS)
    np.testing.assert_allclose(together, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(alone, expected, rtol=0, atol=TOLERANCE)
    assert limit == MAX_TOKENS


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_folder_of_model2vec_equals_sentence_transformers(variant: str, tmp_path: Path) -> None:
    folder = model2vec(tmp_path, VARIANTS[variant], normalize=True)
    tensors = VARIANTS[variant]
    folded = StaticEmbedding._fold_model2vec_weights(
        *(tensors.get(name) for name in ("embeddings", "mapping", "weights"))
    )
    modules = [StaticEmbedding(tokenizer(), embedding_weights=folded.float()), Normalize()]
    reference = sentence_transformers.SentenceTransformer(modules=modules, device="cpu")

    with textmill.load(str(folder), dtype="float32") as model:
        made = model.embed(TEXTS)

    np.testing.assert_allclose(made, reference.encode(TEXTS), rtol=0, atol=TOLERANCE)


def test_a_text_is_cut_where_the_tokenizer_cuts(tmp_path: Path) -> None:
    folder = model2vec(tmp_path, {"embeddings": table()})
    cutting = tokenizer()
    cutting.enable_truncation(2)
    cutting.save(str(folder / "tokenizer.json"))

    with textmill.load(str(folder), dtype="float32") as model:
        made = model.embed(["the mill stood", "the mill"], normalize=False)

    assert np.array_equal(made[0], made[1])


def test_a_text_without_tokens_is_zeros_by_token_too(tmp_path: Path) -> None:
    with textmill.load(str(model2vec(tmp_path, {"embeddings": table()})), dtype="float32") as model:
        (tokens,) = model.embed_tokens([""])
        ((chunk,),) = model.embed_chunks([""])

    assert not tokens.any()
    assert not chunk.vector.any()


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"other": table()}, "has no tensor embedding.weight (nor model2vec's embeddings)"),
        ({"embeddings": table()[0]}, "tensor embeddings has shape (6,), but a table has rows and features"),
        ({"embeddings": table(), "extra": table()}, "tensor extra has no place in a table of static embeddings"),
        ({"embeddings": table(3), "mapping": np.array([0, 3])}, "tensor mapping points to row 3, but embeddings has 3"),
        ({"embeddings": table(3), "mapping": np.array([0.0])}, "tensor mapping must have one whole number"),
        ({"embeddings": table(), "weights": np.ones(3)}, "tensor weights has shape (3,), but there are 8 tokens"),
    ],
)
def test_a_damaged_table_is_named(tensors: dict[str, Floats], problem: str, tmp_path: Path) -> None:
    folder = model2vec(tmp_path, tensors)

    with pytest.raises(ModelBroken) as told:
        textmill.load(str(folder))

    assert problem in str(told.value)
    assert str(folder) in str(told.value)


@pytest.mark.parametrize(
    ("tensors", "name"),
    [
        ({"embeddings": table(7)}, "embeddings"),
        ({"embedding.weight": table(5)}, "embedding.weight"),
        ({"embeddings": table(9), "mapping": np.arange(7)}, "mapping"),
    ],
)
def test_a_table_without_a_row_for_every_token_is_named(tensors: dict[str, Floats], name: str, tmp_path: Path) -> None:
    rows = len(tensors.get("mapping", tensors[next(iter(tensors))]))

    with pytest.raises(ModelBroken) as told:
        textmill.load(str(model2vec(tmp_path, tensors)))

    assert f"tokenizer.json has token ids up to 7, but model.safetensors has {rows} rows in {name};" in str(told.value)


@pytest.mark.parametrize("asked", [{"backend": "onnx"}, {"file": "model.onnx"}])
def test_a_graph_of_a_table_is_not_run(asked: dict[str, str], tmp_path: Path) -> None:
    folder = model2vec(tmp_path, {"embeddings": table()})
    (folder / "model.onnx").write_bytes(b"model2vec ships one")

    with pytest.raises(ModelBroken, match=f"runs the safetensors only; leave --{' '.join(*asked.items())} out"):
        textmill.load(str(folder), **asked)


def test_the_row_of_a_text_without_tokens_is_no_id_of_a_caller(tmp_path: Path) -> None:
    with textmill.load(str(model2vec(tmp_path, {"embeddings": table()})), dtype="float32") as model:
        model.embed([[7]])
        with pytest.raises(InvalidInput, match="token id 8, but this model's ids go from 0 to 7"):
            model.embed([[8]])


def test_a_table_needs_no_config_of_its_own(tmp_path: Path) -> None:
    StaticEmbedding(tokenizer(), embedding_weights=table()).save(str(tmp_path))
    entry = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    (tmp_path / "modules.json").write_text(json.dumps([entry]), encoding="utf-8")

    assert list(missing_files(tmp_path)) == []
    assert read_recipe(tmp_path).vocabulary == len(WORDS) + 1
    (tmp_path / "model.safetensors").unlink()
    assert list(missing_files(tmp_path)) == ["model.safetensors"]


def test_a_text_without_tokens_does_not_count_against_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = model2vec(tmp_path / "model", {"embeddings": table()})

    with textmill.load(str(folder), backend="openvino", dtype="int8") as model:
        assert model.info.int8_cosine == pytest.approx(1.0, abs=1e-4)
