"""Dense vectors beside sentence-transformers' own class."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import sentence_transformers
import torch  # noqa: TID253 - the reference runs on it

from textmill.compat import CrossEncoder, SentenceTransformer, SparseEncoder
from textmill.compat.sentence_transformer import OutputValue
from textmill.errors import ConfigInvalid, InvalidInput, ModelNotFound
from textmill.testing.checkpoints import tiny_bert

TEXTS = ["the river ends in the sea", "", "a stone", "the house by the river " * 30, "Ümlaut, and a dog.", "zz"]
PROMPTS = {"query": "find: ", "document": "text: ", "sorting": "sort: "}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(
        tmp_path_factory.mktemp("compat") / "tiny", modules=(), prompts=PROMPTS, default_prompt_name="sorting"
    )


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[SentenceTransformer]:
    with SentenceTransformer(str(folder)) as model:
        yield model


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def minilm() -> Iterator[tuple[SentenceTransformer, Any]]:
    with SentenceTransformer("all-MiniLM-L6-v2") as model:
        yield model, sentence_transformers.SentenceTransformer(str(model._folder), device="cpu")


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"normalize_embeddings": True},
        {"truncate_dim": 8},
        {"truncate_dim": 8, "normalize_embeddings": True},
        {"truncate_dim": 4000},
        {"prompt": "say: "},
        {"prompt": ""},
        {"prompt_name": "query", "batch_size": 2},
        {"precision": "binary"},
        {"precision": "ubinary"},
        {"precision": None},
        {"task": "query", "show_progress_bar": True},
        {"task": "retrieval"},
    ],
    ids=str,
)
def test_vectors_are_those_of_sentence_transformers(
    ours: SentenceTransformer, theirs: Any, keywords: dict[str, Any]
) -> None:
    close(ours.encode(TEXTS, **keywords), theirs.encode(TEXTS, **keywords))


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_buckets_are_those_of_sentence_transformers(
    ours: SentenceTransformer, theirs: Any, precision: Literal["int8", "uint8"]
) -> None:
    mine, reference = ours.encode(TEXTS, precision=precision), theirs.encode(TEXTS, precision=precision)

    assert mine.dtype == reference.dtype
    assert (
        np.abs(mine.astype(int) - reference.astype(int)).max() <= 1
    )  # a value at the edge of a bucket may fall into either


@pytest.mark.parametrize("verb", ["encode_query", "encode_document"])
def test_each_side_has_its_prompt(ours: SentenceTransformer, theirs: Any, verb: str) -> None:
    mine = getattr(ours, verb)(TEXTS)

    close(mine, getattr(theirs, verb)(TEXTS))
    assert np.abs(mine - ours.encode(TEXTS)).max() > 1e-2
    close(getattr(ours, verb)(TEXTS, prompt="say: "), theirs.encode(TEXTS, prompt="say: "))


@pytest.mark.parametrize("prompts", [{"passage": "p: "}, {"document": None}, {"query": "", "other": "o: "}])
def test_prompts_merge_as_in_sentence_transformers(tmp_path: Path, prompts: dict[str, Any]) -> None:
    folder = tiny_bert(tmp_path / "tiny", prompts={"query": "q: ", "corpus": "c: "})
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu", prompts=dict(prompts))
    with SentenceTransformer(folder, prompts=prompts) as ours:
        assert ours.prompts == theirs.prompts
        for verb in ("encode", "encode_query", "encode_document"):
            close(getattr(ours, verb)(TEXTS), getattr(theirs, verb)(TEXTS))


@pytest.mark.timeout(60)  # the reference takes long to load where cores are busy
def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: tuple[SentenceTransformer, Any]) -> None:
    ours, theirs = minilm

    several: list[dict[str, Any]] = [{}, {"truncate_dim": 64}, {"truncate_dim": 64, "normalize_embeddings": True}]
    for keywords in several:
        close(ours.encode(TEXTS, **keywords), theirs.encode(TEXTS, **keywords))
    assert ours.dtype == "float32"
    assert ours.max_seq_length == theirs.max_seq_length
    assert ours.get_embedding_dimension() == ours.get_sentence_embedding_dimension() == theirs.get_embedding_dimension()
    close(
        ours.similarity(ours.encode(TEXTS), ours.encode(TEXTS)),
        theirs.similarity(theirs.encode(TEXTS), theirs.encode(TEXTS)),
    )


def test_another_length_cuts_as_in_sentence_transformers(folder: Path) -> None:
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    assert 12 < theirs.max_seq_length < 50
    with SentenceTransformer(folder) as ours:
        for length in (12, 50):
            theirs.max_seq_length = ours.max_seq_length = length
            close(ours.encode([*TEXTS, "a long text " * 20]), theirs.encode([*TEXTS, "a long text " * 20]))
        with pytest.warns(UserWarning, match="takes 64 tokens at most, so max_seq_length is that and not 100000"):
            ours.max_seq_length = 100_000
        assert ours.max_seq_length == ours.tokenizer.model_max_length > 12


@pytest.mark.parametrize(
    "inputs", ["a text", ["a text"], ("a text", "b"), np.array(["a", "b"]), np.str_("a"), [], {"a": 0}.keys()]
)
def test_what_goes_in_comes_out_in_the_same_shape(ours: SentenceTransformer, theirs: Any, inputs: Any) -> None:
    mine = ours.encode(inputs)

    assert type(mine) is np.ndarray
    close(
        mine,
        theirs.encode(
            list(inputs) if isinstance(inputs, dict.keys.__class__) or hasattr(inputs, "mapping") else inputs
        ),
    )


def test_tensors_come_out_where_they_are_asked_for(ours: SentenceTransformer, theirs: Any) -> None:
    mine = ours.encode(TEXTS, convert_to_tensor=True)

    assert isinstance(mine, torch.Tensor)
    close(mine, theirs.encode(TEXTS, convert_to_tensor=True))
    assert ours.encode([], convert_to_tensor=True).shape == (0,)
    scores = ours.similarity(ours.encode_query("river", convert_to_tensor=True), mine)
    assert torch.topk(scores[0], k=2).indices.shape == (2,)
    listed = ours.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(listed, list)
    close(listed[0].cpu().detach().numpy(), mine[0])


@pytest.mark.parametrize("cut", [None, 5])
@pytest.mark.parametrize("value", ["token_embeddings", None])
def test_states_of_tokens_are_those_of_sentence_transformers(
    ours: SentenceTransformer, theirs: Any, value: OutputValue | None, cut: int | None
) -> None:
    mine, reference = (
        each.encode(TEXTS, output_value=value, batch_size=1, truncate_dim=cut) for each in (ours, theirs)
    )

    assert len(mine) == len(TEXTS)
    for one, other in zip(mine, reference, strict=True):
        if value is None:
            for key in ("token_embeddings", "sentence_embedding", "input_ids", "attention_mask"):
                close(one[key].numpy(), other[key])
        else:
            close(one.numpy(), other)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_each_measure_is_that_of_sentence_transformers(ours: SentenceTransformer, theirs: Any, name: Any) -> None:
    a, b = theirs.encode(TEXTS), theirs.encode(TEXTS[::-1])
    ours.similarity_fn_name = theirs.similarity_fn_name = name

    close(ours.similarity(a, b), theirs.similarity(a, b), 1e-3 if name == "euclidean" else 1e-4)
    close(ours.similarity(a[0], list(b)), theirs.similarity(a[0], list(b)), 1e-3 if name == "euclidean" else 1e-4)
    close(ours.similarity_pairwise(a, b), theirs.similarity_pairwise(a, b), 1e-4)
    one, other = torch.tensor(a[0]), torch.tensor(b[0])
    close(ours.similarity_pairwise(one, other), theirs.similarity_pairwise(one, other), 1e-4)
    assert ours.similarity_fn_name == name


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        (SentenceTransformer, "multi-qa-MiniLM-L6-cos-v1", "sentence-transformers/multi-qa-MiniLM-L6-cos-v1"),
        (SentenceTransformer, "bert-base-nli-mean-tokens", "sentence-transformers/bert-base-nli-mean-tokens"),
        (SentenceTransformer, "bert-base-uncased", "google-bert/bert-base-uncased"),
        (
            SentenceTransformer,
            "bert-large-uncased-whole-word-masking",
            "google-bert/bert-large-uncased-whole-word-masking",
        ),
        (SentenceTransformer, "camembert-base", "almanach/camembert-base"),
        (SentenceTransformer, "owner/model", "owner/model"),
        (CrossEncoder, "roberta-large-mnli", "FacebookAI/roberta-large-mnli"),
        (CrossEncoder, "ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2"),
        (SparseEncoder, "some-model", "sparse-encoder/some-model"),
    ],
)
def test_a_name_without_its_owner_is_of_the_organisation_of_the_class(
    tmp_path: Path, kind: Any, given: str, meant: str
) -> None:
    with pytest.raises(ModelNotFound, match=f"hf download {meant}`"):
        kind(given, cache_folder=str(tmp_path), local_files_only=True)


def test_models_are_found_where_sentence_transformers_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    stored = tmp_path / "models--sentence-transformers--tiny"
    (stored / "snapshots").mkdir(parents=True)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text("abc")
    (stored / "snapshots" / "abc").symlink_to(folder)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.delenv("TEXTMILL_CACHE_DIR", raising=False)

    with SentenceTransformer("tiny", cache_folder=None, local_files_only=True) as model:
        assert model.encode("a").shape == (32,)
    with pytest.raises(ModelNotFound):
        SentenceTransformer("tiny", cache_folder=str(tmp_path / "other"), local_files_only=True)


def test_a_model_is_loaded_anew_where_it_is_unpickled_or_copied(folder: Path) -> None:
    with SentenceTransformer(folder, truncate_dim=8, prompts={"mine": "m: "}) as ours:
        for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):  # noqa: S301 - ours
            with other:
                close(other.encode(TEXTS, prompt_name="mine"), ours.encode(TEXTS, prompt_name="mine"))
                assert other.to("cpu").max_seq_length == ours.max_seq_length


def test_a_measure_of_the_files_that_is_not_of_the_class_is_the_usual_one(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    settings = folder / "config_sentence_transformers.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "similarity_fn_name": "maxsim"}))
    with SentenceTransformer(folder) as ours:
        assert ours.similarity_fn_name == "cosine"


def test_the_tokenizer_reads_as_that_of_transformers(ours: SentenceTransformer, theirs: Any) -> None:
    for text in TEXTS:
        assert ours.tokenizer.encode(text) == theirs.tokenizer.encode(text)
        assert ours.tokenizer(text)["input_ids"] == theirs.tokenizer(text)["input_ids"]
        assert ours.tokenizer.tokenize(text) == theirs.tokenizer.tokenize(text)
        assert ours.tokenizer.tokenize(text, add_special_tokens=True) == theirs.tokenizer.tokenize(
            text, add_special_tokens=True
        )
        several: list[dict[str, Any]] = [
            {"max_length": 4},
            {"truncation": True},
            {"truncation": True, "max_length": 4},
            {"truncation": False, "max_length": 4},
            {"truncation": "do_not_truncate", "max_length": 4, "padding": False, "return_tensors": None},
        ]
        for keywords in several:
            assert ours.tokenizer.encode(text, **keywords) == theirs.tokenizer.encode(text, **keywords)
            assert ours.tokenizer([text], **keywords)["input_ids"] == theirs.tokenizer([text], **keywords)["input_ids"]
    for keywords in ({"padding": True}, {"return_tensors": "pt"}):
        with pytest.raises(NotImplementedError, match="does nothing with"):
            ours.tokenizer(TEXTS, **keywords)
    ids = theirs.tokenizer.encode(TEXTS[0])
    assert ours.tokenizer.batch_decode([ids, ids[:3]]) == theirs.tokenizer.batch_decode([ids, ids[:3]])
    assert ours.tokenizer.convert_ids_to_tokens(5) == theirs.tokenizer.convert_ids_to_tokens(5)
    assert ours.tokenizer.convert_tokens_to_ids("the") == theirs.tokenizer.convert_tokens_to_ids("the")
    assert ours.tokenizer.convert_ids_to_tokens(ids) == theirs.tokenizer.convert_ids_to_tokens(ids)
    close(ours.tokenize(TEXTS)["input_ids"], theirs.tokenize(TEXTS)["input_ids"])
    assert len(ours.tokenizer) == len(theirs.tokenizer)


def test_what_code_calls_on_a_torch_module_is_there(folder: Path) -> None:
    with SentenceTransformer(folder, device=torch.device("cpu"), trust_remote_code=True, config_kwargs={}) as model:
        assert model.eval() is model.to("cpu") is model.cpu() is model.float() is model
        assert (model.device, model.device.type, model.device.index) == ("cpu", "cpu", None)
        with model.truncate_embeddings(4):
            assert model.encode("a").shape == (4,)
        with pytest.warns(UserWarning, match="no pool is started"):
            pool = model.start_multi_process_pool()
        assert model.encode_multi_process(["a"], pool).shape == (1, 32)
        model.stop_multi_process_pool(pool)
        for name in ("fit", "save_pretrained", "forward", "push_to_hub"):
            with pytest.raises(NotImplementedError, match="do it with sentence-transformers"):
                getattr(model, name)()
        with pytest.raises(NotImplementedError):
            model.train()
        with pytest.raises(NotImplementedError):
            model[0]
        assert not hasattr(model, "nothing_of_that_name")


def test_a_change_loads_the_model_anew_and_closes_the_one_before(folder: Path) -> None:
    with SentenceTransformer(folder) as model:
        first = model._model
        model.max_seq_length = 20
        second = model._model
        model.max_seq_length = 20
        assert model._model is second
        assert (first.ready, second.ready, second.info.max_tokens) == (False, True, 20)


def test_keywords_become_options(folder: Path) -> None:
    keywords = {"model_kwargs": {"torch_dtype": torch.bfloat16}, "tokenizer_kwargs": {"model_max_length": 20}}
    with SentenceTransformer(folder, backend="onnx", **keywords) as model:
        assert (model._options["dtype"], model.max_seq_length) == ("bfloat16", 20)
    with pytest.warns(UserWarning, match="SentenceTransformer does nothing with 'flavour' here"):
        SentenceTransformer(folder, flavour="sweet").close()
    with pytest.warns(UserWarning, match="not on 'hpu'; the CPU is taken"):
        SentenceTransformer(folder, device="hpu").close()


def test_what_cannot_be_is_refused(ours: SentenceTransformer, folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match="modules are objects of PyTorch"):
        SentenceTransformer(folder, modules=[object()])
    with pytest.raises(ConfigInvalid, match="needs the name or the folder"):
        SentenceTransformer()
    with pytest.raises(ConfigInvalid, match="backend is 'tensorflow'"):
        SentenceTransformer(folder, backend="tensorflow")
    with pytest.raises(ModelNotFound):
        SentenceTransformer("./nothing")
    with pytest.raises(ValueError, match="default_prompt_name is 'no'"):
        SentenceTransformer(folder, default_prompt_name="no")
    with pytest.raises(ValueError, match="similarity_fn_name is 'maxsim'"):
        SentenceTransformer(folder, similarity_fn_name="maxsim")
    with pytest.raises(ValueError, match="prompt_name is 'no'"):
        ours.encode("a", prompt_name="no")
    with pytest.raises(ValueError, match="precision is 'int4'"):
        ours.encode("a", precision="int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs the range of several vectors"):
        ours.encode("a", precision="int8")
    with pytest.raises(ValueError, match="batch_size is 0"):
        ours.encode("a", batch_size=0)
    with pytest.raises(ValueError, match="truncate_dim is -3"):
        ours.encode("a", truncate_dim=-3)
    with pytest.raises(ValueError, match="encode takes no 'colour'"):
        ours.encode("a", colour=1)
    with pytest.raises(InvalidInput, match="input 1 is None"):
        ours.encode(["a", None])
    with pytest.raises(TypeError, match="there are no inputs"):
        ours.encode()
    with pytest.warns(UserWarning, match="nothing is done with processing_kwargs here"):
        ours.encode("a", processing_kwargs={"text": {"max_length": 3}})


def test_no_pytorch_is_loaded_for_arrays(folder: Path) -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from textmill.compat import SentenceTransformer\n"
        f"model = SentenceTransformer({str(folder)!r}); a = model.encode(['x', 'y'])\n"
        "model.similarity(a, a).numpy(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - ours
