"""TextmillEmbeddings gives what HuggingFaceEmbeddings gives, and the model's own prompts."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_textmill import TextmillEmbeddings
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from tests.integrations.langchain.conftest import Opened

from textmill.errors import ConfigInvalid, InvalidInput, ModelNotFound, Unavailable
from textmill.testing.checkpoints import tiny_bert

TEXTS = ["hello world", "the small river stone, and water.", "a", "", "x " * 60, "one\nmore\n\nline"]
LINES = [text.replace("\n", " ") for text in TEXTS]
TOLERANCE = 1e-5
Reference = Callable[[str], SentenceTransformer]


@pytest.fixture(params=["plain", "unit"])
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def close(got: list[list[float]], wanted: Any) -> None:
    np.testing.assert_allclose(np.array(got), np.asarray(wanted), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"normalize_embeddings": True},
        {"prompt": "say: "},
        {"prompt": ""},
        {"prompt_name": "passage", "batch_size": 2},
        {"truncate_dim": 8},
        {"truncate_dim": 8, "normalize_embeddings": True},
    ],
)
def test_with_langchains_policy_vectors_are_those_of_encode(
    folder: str, keywords: dict[str, Any], reference: Reference, opened: Opened
) -> None:
    ours = opened(TextmillEmbeddings, model_name=folder, encode_kwargs=keywords, prompt_policy="langchain")
    wanted = reference(folder).encode(LINES, **keywords)

    close(ours.embed_documents(TEXTS), wanted)
    close([ours.embed_query(text) for text in TEXTS], wanted)
    close(asyncio.run(ours.aembed_documents(TEXTS)), wanted)
    close([asyncio.run(ours.aembed_query(TEXTS[-1]))], wanted[-1:])


def test_by_default_the_models_own_prompts_are_in_force(folder: str, reference: Reference, opened: Opened) -> None:
    ours, theirs = opened(TextmillEmbeddings, model=folder), reference(folder)

    close(ours.embed_documents(TEXTS), theirs.encode(LINES, prompt_name="passage"))
    close([ours.embed_query(text) for text in TEXTS], theirs.encode(LINES, prompt_name="query"))
    close([asyncio.run(ours.aembed_query(TEXTS[0]))], theirs.encode(LINES[:1], prompt_name="query"))


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: Path, reference: Reference, opened: Opened) -> None:
    ours = opened(TextmillEmbeddings, model_name="all-MiniLM-L6-v2")

    close(ours.embed_documents(TEXTS), reference(str(minilm)).encode(LINES))
    assert ours.model_name == "all-MiniLM-L6-v2"


def test_prompts_of_the_user_come_before_the_models(plain: str, reference: Reference, opened: Opened) -> None:
    own = {"query": "mine: ", "document": "theirs: ", "more": "m: "}
    theirs = reference(plain)
    ours = opened(TextmillEmbeddings, model=plain, model_kwargs={"prompts": own})
    close(ours.embed_documents(LINES), theirs.encode(LINES, prompt="theirs: "))
    close([ours.embed_query("hello")], theirs.encode(["hello"], prompt="mine: "))

    named = opened(
        TextmillEmbeddings, model=plain, model_kwargs={"prompts": own}, encode_kwargs={"prompt_name": "more"}
    )
    close([named.embed_query("hello")], theirs.encode(["hello"], prompt="m: "))

    default = {"prompts": own, "default_prompt_name": "more"}
    by_default = opened(TextmillEmbeddings, model=plain, model_kwargs=default, prompt_policy="langchain")
    close([by_default.embed_query("hello")], theirs.encode(["hello"], prompt="m: "))


@pytest.mark.parametrize("name", ["query", "document"])
def test_the_prompts_of_the_sides_are_empty_where_the_model_has_none(
    tmp_path: Path, name: str, reference: Reference, opened: Opened
) -> None:
    folder = str(tiny_bert(tmp_path / "without", modules=()))
    ours = opened(TextmillEmbeddings, model=folder, encode_kwargs={"prompt_name": name})
    close(ours.embed_documents(LINES), reference(folder).encode(LINES, prompt_name=name))
    with pytest.raises(InvalidInput, match="no prompt named 'other'"):
        opened(TextmillEmbeddings, model=folder, encode_kwargs={"prompt_name": "other"}).embed_query("a")


def test_what_is_changed_afterwards_is_in_force(plain: str, reference: Reference, opened: Opened) -> None:
    ours, wanted = opened(TextmillEmbeddings, model=plain), reference(plain).encode(["hello"], prompt="s: ")
    copied = ours.model_copy(update={"encode_kwargs": {"prompt": "s: "}})
    close(copied.embed_documents(["hello"]), wanted)
    before = ours.namespace
    ours.encode_kwargs["prompt"] = "s: "
    close([ours.embed_query("hello")], wanted)
    assert ours.namespace == copied.namespace != before


def test_it_is_pickled_and_copied_by_its_fields(plain: str, opened: Opened) -> None:
    ours = opened(TextmillEmbeddings, model=plain, encode_kwargs={"prompt": "s: "})
    pickled = pickle.loads(pickle.dumps(ours))  # noqa: S301 - ours
    for other in (pickled, copy.copy(ours), copy.deepcopy(ours), ours.model_copy()):
        with other:
            assert other.model_dump() == ours.model_dump()
            close([other.embed_query("hello")], [ours.embed_query("hello")])
    ours.embed_query("hello")


def test_queries_have_keywords_of_their_own_only_where_there_are_some(
    plain: str, reference: Reference, opened: Opened
) -> None:
    theirs, documents = reference(plain), {"prompt": "d: ", "normalize_embeddings": True}
    ours = opened(TextmillEmbeddings, model=plain, encode_kwargs=documents, query_encode_kwargs={"prompt": "q: "})

    close(ours.embed_documents(["hello"]), theirs.encode(["hello"], **documents))
    close([ours.embed_query("hello")], theirs.encode(["hello"], prompt="q: "))


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_precisions_are_those_of_sentence_transformers(
    unit: str, precision: str, reference: Reference, opened: Opened
) -> None:
    ours = opened(TextmillEmbeddings, model=unit, encode_kwargs={"precision": precision}, prompt_policy="langchain")
    got = np.array(ours.embed_documents(TEXTS))

    wanted = reference(unit).encode(LINES, precision=precision).astype(int)
    near = np.abs(got - wanted) <= (1 if "int8" in precision else 0)  # a value may lie on the edge of a bucket
    assert near.mean() > 0.99


def test_bytes_of_a_single_vector_are_refused(unit: str, opened: Opened) -> None:
    ours = opened(TextmillEmbeddings, model=unit, encode_kwargs={"precision": "int8"})
    with pytest.raises(ValueError, match="int8 needs the range of several vectors"):
        ours.embed_query("hello")


def test_no_documents_have_no_vectors(plain: str, opened: Opened) -> None:
    ours = opened(TextmillEmbeddings, model=plain)
    assert ours.embed_documents([]) == asyncio.run(ours.aembed_documents([])) == []


def test_a_bar_and_processes_change_no_vector(plain: str, opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    usual = opened(TextmillEmbeddings, model=plain)
    ours = opened(TextmillEmbeddings, model=plain, show_progress=True, multi_process=True)
    texts = [f"text {index}" for index in range(300)]

    close(ours.embed_documents(texts), usual.embed_documents(texts))
    assert "300/300" in capsys.readouterr().err


def test_a_store_finds_by_the_two_sides(plain: str, opened: Opened) -> None:
    store = InMemoryVectorStore(opened(TextmillEmbeddings, model=plain, encode_kwargs={"prompt": ""}))
    store.add_documents([Document("the river stone"), Document("hello world"), Document("what is love")])

    found = store.as_retriever(search_kwargs={"k": 1}).invoke("hello world")
    awaited = asyncio.run(store.asimilarity_search("hello world", k=1))

    assert [each.page_content for each in found] == [each.page_content for each in awaited] == ["hello world"]


def test_two_of_the_same_model_share_one_engine_and_the_last_closes_it(plain: str) -> None:
    one, other = TextmillEmbeddings(model=plain), TextmillEmbeddings(model=plain, encode_kwargs={"prompt": "x: "})
    with other:
        assert one._client.info is other._client.info
        one.close()
        with pytest.raises(Unavailable):
            one.embed_query("hello")
        other.embed_query("hello")
    assert not other._client.ready


def test_the_prompts_in_force_are_logged_once(tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "langchain_textmill")
    told = str(tiny_bert(tmp_path / "told", prompts={"query": "ask: ", "passage": "read: "}))
    opened(TextmillEmbeddings, model=told)
    opened(TextmillEmbeddings, model=told, encode_kwargs={"prompt": "d: "})

    assert [record.getMessage() for record in caplog.records] == [
        "told: before each query stands 'ask: '",
        "told: before each document stands 'read: '",
        "told: before each query stands 'd: '",
        "told: before each document stands 'd: '",
    ]
    opened(TextmillEmbeddings, model=told)
    assert len(caplog.records) == 4


def test_namespaces_tell_vectors_apart_that_may_not_be_mixed(plain: str, unit: str, opened: Opened) -> None:
    def namespaces(**keywords: Any) -> tuple[str, str]:
        made = opened(TextmillEmbeddings, **keywords)
        return made.namespace, made.query_namespace

    usual = namespaces(model=plain)
    assert namespaces(model=plain, show_progress=True) == usual
    others = [
        namespaces(model=unit),
        namespaces(model=plain, encode_kwargs={"normalize_embeddings": True}),
        namespaces(model=plain, encode_kwargs={"prompt": "d: "}),
        namespaces(model=plain, prompt_policy="langchain"),
        namespaces(model=plain, model_kwargs={"truncate_dim": 4}),
    ]
    assert len({usual, *others}) == 6
    assert len({each for pair in (usual, *others) for each in pair}) == 12


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"model_nam": "x"}, "no 'model_nam': did you mean model_name?"),
        ({"device": "cpu"}, "has no 'device'.*what is meant for the model goes into model_kwargs"),
        ({"prompt_policy": "other"}, "prompt_policy"),
    ],
)
def test_a_field_that_is_unknown_or_wrong_is_named(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TextmillEmbeddings(**keywords)


def test_impossible_values_are_named(plain: str) -> None:
    with pytest.raises(ValueError, match="precision is 'int4'"):
        TextmillEmbeddings(model=plain, encode_kwargs={"precision": "int4"})
    with pytest.raises(ConfigInvalid, match="dtype"):
        TextmillEmbeddings(model=plain, model_kwargs={"dtype": "float12"})
    with pytest.raises(InvalidInput, match="input 1 is None"):
        TextmillEmbeddings(model=plain).embed_documents(["a", None])  # type: ignore[list-item]
    with (
        pytest.raises(InvalidInput, match="adapter"),
        TextmillEmbeddings(model=plain, encode_kwargs={"task": "x"}) as ours,
    ):
        ours.embed_query("hello")
    with pytest.raises(ModelNotFound):
        TextmillEmbeddings(model="no/such-model", model_kwargs={"local_files_only": True})


def test_keywords_that_nobody_knows_are_warned_of(plain: str, opened: Opened) -> None:
    with pytest.warns(UserWarning, match="nothing with 'output_value' of encode_kwargs"):
        opened(TextmillEmbeddings, model=plain, encode_kwargs={"output_value": "x"})
    with pytest.warns(UserWarning, match="TextmillEmbeddings does nothing with 'frobnicate' here"):
        opened(TextmillEmbeddings, model=plain, model_kwargs={"frobnicate": 1})
