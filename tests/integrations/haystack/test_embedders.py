"""The embedders give what sentence-transformers gives, also for event loops and from a server."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document
from haystack.utils import ComponentDevice, Secret
from haystack_integrations.components.embedders.textmill import (
    TextmillDocumentEmbedder,
    TextmillSparseDocumentEmbedder,
    TextmillSparseTextEmbedder,
    TextmillTextEmbedder,
)
from haystack_integrations.components.rankers.textmill import TextmillRanker
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.util import quantize_embeddings as theirs_quantize
from tests.compat.sided import sided_splade
from tests.integrations.haystack.conftest import Closing

from textmill.errors import ConfigInvalid, ModelNotFound
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.openai_server import Answer, threaded_openai_server

TEXTS = ["hello world", "", "the small river stone, and water.", "x " * 60]
DOCUMENTS = [Document(content=text, meta={"page": index}) for index, text in enumerate(TEXTS)]
DENSE = [TextmillTextEmbedder, TextmillDocumentEmbedder]
EMBEDDERS = [*DENSE, TextmillSparseTextEmbedder, TextmillSparseDocumentEmbedder]


def close(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.array(got), np.asarray(wanted), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["plain", "unit"])
@pytest.mark.parametrize(
    ("keywords", "encode"),
    [
        ({}, {}),
        ({"truncate_dim": 8}, {"truncate_dim": 8}),
        ({"truncate_dim": 8, "normalize_embeddings": True}, {"truncate_dim": 8, "normalize_embeddings": True}),
        ({"encode_kwargs": {"prompt": "say: "}}, {"prompt": "say: "}),
        (
            {"encode_kwargs": {"prompt_name": "document", "truncate_dim": 4}},
            {"prompt_name": "document", "truncate_dim": 4},
        ),
        ({"prefix": "say: "}, {"prompt": "say: "}),
    ],
)
def test_with_haystacks_policy_vectors_are_those_of_encode(
    model: str, keywords: dict[str, Any], encode: dict[str, Any], opened: Closing, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    how = {"model": folder, "prompt_policy": "haystack", "progress_bar": False, **keywords}
    documents, text = opened(TextmillDocumentEmbedder, **how), opened(TextmillTextEmbedder, **how)
    wanted = SentenceTransformer(folder, device="cpu").encode(TEXTS, **encode)

    embedded = documents.run(DOCUMENTS)["documents"]
    close([each.embedding for each in embedded], wanted)
    assert [each.id for each in embedded] == [each.id for each in DOCUMENTS]
    assert all(each.embedding is None for each in DOCUMENTS)
    close([text.run(each)["embedding"] for each in TEXTS], wanted)
    close([each.embedding for each in asyncio.run(documents.run_async(DOCUMENTS))["documents"]], wanted)
    close(asyncio.run(text.run_async(TEXTS[0]))["embedding"], wanted[0])


def test_the_prompts_in_force_are_logged_once(
    tmp_path: Path, opened: Closing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "textmill_haystack")
    # A model of its own name: what was said of another is not said again.
    folder = str(tiny_bert(tmp_path / "said", prompts={"query": "ask: ", "passage": "read: "}))
    for _ in range(2):
        opened(TextmillTextEmbedder, model=folder).run("hello")
        opened(TextmillDocumentEmbedder, model=folder, progress_bar=False).run(DOCUMENTS)
    assert [record.getMessage() for record in caplog.records] == [
        "said: before each query stands 'ask: '",
        "said: before each document stands 'read: '",
    ]


def test_by_default_the_models_own_prompts_are_in_force(plain: str, opened: Closing) -> None:
    theirs = SentenceTransformer(plain, device="cpu")
    documents = opened(TextmillDocumentEmbedder, model=plain, meta_fields_to_embed=["page", "none"], suffix=".")

    got = documents.run(DOCUMENTS)["documents"]
    wanted = theirs.encode([f"{index}\n{text}." for index, text in enumerate(TEXTS)], prompt_name="passage")
    close([each.embedding for each in got], wanted)
    query = opened(TextmillTextEmbedder, model=plain).run("hello")["embedding"]
    close(query, theirs.encode("hello", prompt_name="query"))
    assert documents.run([]) == asyncio.run(documents.run_async([])) == {"documents": []}


def test_sparse_vectors_are_those_of_sentence_transformers(splade: str, opened: Closing) -> None:
    documents = opened(TextmillSparseDocumentEmbedder, model=splade)
    text = opened(TextmillSparseTextEmbedder, model=splade)
    wanted = SparseEncoder(splade, device="cpu").encode(TEXTS, convert_to_sparse_tensor=False).numpy()

    embedded = documents.run(DOCUMENTS)["documents"]
    for got, row in zip(embedded, wanted, strict=True):
        vector = np.zeros(len(row))
        vector[got.sparse_embedding.indices] = got.sparse_embedding.values
        close(vector, row)
    assert len(asyncio.run(documents.run_async(DOCUMENTS))["documents"]) == len(DOCUMENTS)
    one, awaited = text.run(TEXTS[0]), asyncio.run(text.run_async(TEXTS[0]))
    assert one["sparse_embedding"].indices == awaited["sparse_embedding"].indices


@pytest.mark.filterwarnings("ignore:Sparse")  # torch warns of its own
def test_queries_and_documents_may_be_embedded_in_their_own_ways(tmp_path: Path, opened: Closing) -> None:
    theirs, model = sided_splade(tmp_path), str(tmp_path / "sided")
    text, documents = (
        opened(TextmillSparseTextEmbedder, model=model),
        opened(TextmillSparseDocumentEmbedder, model=model),
    )

    def check(embedding: Any, encode: Any) -> None:
        [wanted] = encode([TEXTS[2]], convert_to_sparse_tensor=False).numpy()
        made = np.zeros(len(wanted))
        made[embedding.indices] = embedding.values
        close(made, wanted)

    check(text.run(TEXTS[2])["sparse_embedding"], theirs.encode_query)
    check(asyncio.run(text.run_async(TEXTS[2]))["sparse_embedding"], theirs.encode_query)
    [embedded] = documents.run(DOCUMENTS[2:3])["documents"]
    check(embedded.sparse_embedding, theirs.encode_document)


def test_a_prefix_takes_the_place_of_the_models_own_prompt(plain: str, opened: Closing) -> None:
    wanted = SentenceTransformer(plain, device="cpu").encode("say: hello", prompt="")
    close(opened(TextmillTextEmbedder, model=plain, prefix="say: ").run("hello")["embedding"], wanted)


def test_bytes_of_a_text_have_the_ranges_that_are_given(plain: str, opened: Closing) -> None:
    vector = SentenceTransformer(plain, device="cpu").encode(["hello"], prompt_name="query")
    ranges = np.stack([np.full(32, -2.0, np.float32), np.full(32, 2.0, np.float32)])
    how = {"model": plain, "precision": "int8", "quantization_ranges": ranges.tolist()}
    got = opened(TextmillTextEmbedder, **how).run("hello")["embedding"]
    assert np.abs(np.array(got) - theirs_quantize(vector, "int8", ranges)[0]).max() <= 1  # a value may lie on an edge
    with pytest.raises(ValueError, match="needs the range of several vectors"):
        opened(TextmillTextEmbedder, model=plain, precision="int8").run("hello")


def test_what_a_document_does_not_have_stands_for_nothing(plain: str, opened: Closing) -> None:
    ours = opened(TextmillDocumentEmbedder, model=plain, meta_fields_to_embed=["page", "part"], progress_bar=False)
    bare, empty = Document(content="hello"), Document(content="hello", meta={"page": None})
    first, second = ours.run([bare, empty])["documents"]
    assert first.embedding == second.embedding


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_inputs_of_another_kind_are_type_errors(kind: Any) -> None:
    embedder = kind(model="not loaded")
    for wrong in ("text" if "Document" in kind.__name__ else DOCUMENTS, None, [DOCUMENTS[0], "text"], 1):
        with pytest.raises(TypeError, match=kind.__name__):
            embedder.run(wrong)
        with pytest.raises(TypeError, match=kind.__name__):
            asyncio.run(embedder.run_async(wrong))


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_a_component_is_pickled_and_copied_by_its_arguments(kind: Any) -> None:
    made = kind(model="not loaded", prefix="p", token=None)
    made.suffix = "s"
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):  # noqa: S301 - ours
        assert other.to_dict() == made.to_dict()
        assert other.suffix == "s"


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_a_component_survives_its_dictionary_and_tells_no_secret(kind: Any) -> None:
    made = kind(model="some/model", prefix="p", model_kwargs={"dtype": "bfloat16"}, token=Secret.from_env_var("MINE"))

    data = made.to_dict()
    assert data["init_parameters"]["token"] == {"type": "env_var", "env_vars": ["MINE"], "strict": True}
    assert data["init_parameters"]["model_kwargs"] == {"dtype": "bfloat16"}
    assert kind.from_dict(data).to_dict() == made.to_dict()


def test_warming_up_twice_is_once_and_a_closed_component_runs_anew(plain: str) -> None:
    one, other = TextmillTextEmbedder(model=plain), TextmillDocumentEmbedder(model=plain)
    one.warm_up()
    model = one._model
    one.warm_up()
    asyncio.run(one.warm_up_async())
    other.warm_up()
    assert one._model is model
    assert other._model.info is model.info
    one.close()
    assert other._model.ready
    asyncio.run(other.close_async())
    other.close()
    assert len(one.run("hello")["embedding"]) == 32
    one.close()


def test_a_server_embeds_too() -> None:
    row = {"data": [{"embedding": [0.5, 0.25]}]}
    with threaded_openai_server(lambda _: Answer(body=row)) as server:
        how = {"url": server.base_url, "model": "m", "api_key": Secret.from_token("secret"), "progress_bar": False}
        how |= {"truncate_dim": 2}
        text, documents = (kind(**how) for kind in DENSE)
        assert text.run("hello") == asyncio.run(text.run_async("hello")) == {"embedding": [0.5, 0.25]}
        assert documents.run(DOCUMENTS[:1])["documents"][0].embedding == [0.5, 0.25]
        for each in (text, documents):
            each.close()

    assert [body["input_type"] for body in server.bodies] == ["query", "query", "document"]
    assert [body["dimensions"] for body in server.bodies] == [2, 2, 2]
    assert {each.headers["authorization"] for each in server.asked} == {"Bearer secret"}


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        (TextmillDocumentEmbedder, "sentence-transformers"),
        (TextmillSparseTextEmbedder, "sparse-encoder"),
        (TextmillRanker, "cross-encoder"),
    ],
)
def test_a_name_without_its_owner_is_one_of_sentence_transformers(kind: Any, owner: str) -> None:
    offline = {"local_files_only": True} if kind is not TextmillRanker else {"model_kwargs": {"local_files_only": True}}
    with pytest.raises(ModelNotFound, match=f"^{owner}/no-such-model is not in the cache"):
        kind(model="no-such-model", **offline).warm_up()


def test_what_is_for_this_process_is_warned_of_with_a_server() -> None:
    with pytest.warns(UserWarning, match="TextmillTextEmbedder does nothing with revision, model_kwargs, as url"):
        TextmillTextEmbedder(url="http://localhost:1", revision="main", model_kwargs={"threads": 1}).warm_up()


def test_what_is_impossible_is_refused(plain: str) -> None:
    with pytest.raises(ConfigInvalid, match="no device 'mps'"):
        TextmillTextEmbedder(model=plain, device=ComponentDevice.from_str("mps")).run("hello")
    with pytest.raises(ConfigInvalid, match="dtype"):
        TextmillTextEmbedder(model=plain, model_kwargs={"dtype": "float12"}).run("hello")
