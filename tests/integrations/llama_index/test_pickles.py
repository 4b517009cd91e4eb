"""Components go to other processes, as those of an IngestionPipeline with ``num_workers``, and come as they were."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.textmill import TextmillEmbedding, TextmillServerEmbedding
from llama_index.postprocessor.textmill import TextmillRerank
from llama_index.sparse_embeddings.textmill import TextmillSparseEmbedding

SECRET = "sk-" + "not a key"


class Welcoming(TextmillEmbedding):
    """A subclass whose constructor takes none of the fields, with state of its own in both of pydantic's ways."""

    _mark: str = PrivateAttr(default="?")

    def __init__(self, folder: str, greeting: str) -> None:
        super().__init__(folder, max_length=40, load_kwargs={"dtype": "float32"})
        self._greeting = greeting
        self._mark = "!"

    def _get_query_embedding(self, query: str) -> list[float]:
        return super()._get_query_embedding(self._greeting + self._mark + query)


class Locked(TextmillEmbedding):
    """A subclass with something that has no pickle."""

    greeting: str = ""

    def __init__(self, model_name: str, **kwargs: Any) -> None:
        super().__init__(model_name, **kwargs)
        self._lock = threading.Lock()


def again(component: Any) -> Any:
    return pickle.loads(pickle.dumps(component))  # noqa: S301 - ours


def test_a_subclass_keeps_what_it_was_made_with(tiny: Path) -> None:
    model = Welcoming(str(tiny), "Good day")
    made = again(model)

    assert made.to_dict() == model.to_dict()
    assert made.get_query_embedding("a") == model.get_query_embedding("a")
    assert made.get_query_embedding("a") != again(Welcoming(str(tiny), "Good night")).get_query_embedding("a")


def test_what_a_subclass_has_no_pickle_of_its_constructor_makes(tiny: Path) -> None:
    model = Locked(str(tiny), greeting="Good day")
    made = again(model)

    assert made.greeting == "Good day"
    assert made._lock is not model._lock
    assert len(made.get_text_embedding("a")) == 32


class Unfit(SimpleKVStore):
    """A cache that has no pickle."""

    def __reduce__(self) -> str:
        msg = "no pickle"
        raise TypeError(msg)


def test_a_cache_goes_along_if_it_can(scripted: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache = SimpleKVStore()
    cache.put("a", {"id": [1.0, 2.0]}, collection="embeddings")

    made = again(TextmillServerEmbedding(base_url=scripted.url, embeddings_cache=cache))
    assert made.get_text_embedding_batch(["a"]) == [[1.0, 2.0]]
    assert scripted.asked == []
    assert again(TextmillServerEmbedding(base_url=scripted.url, embeddings_cache=Unfit())).embeddings_cache is None
    assert "the embeddings cache cannot be pickled" in caplog.text


def ranked(component: TextmillRerank) -> list[tuple[str, float | None]]:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("The mill turns.", "Cats.")]
    return [(node.text, node.score) for node in component.postprocess_nodes(nodes, query_str="mill")]


def test_a_reranker_and_a_sparse_encoder_share_the_loaded_model(
    reranker: Path, splade: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rerank, sparse = TextmillRerank(model=str(reranker)), TextmillSparseEmbedding(str(splade), top=3)

    for made in (again(rerank), copy.deepcopy(rerank), rerank):
        assert ranked(made) == ranked(rerank)
        assert made._client._engine is rerank._client._engine
    for encoder in (again(sparse), copy.deepcopy(sparse), sparse):
        assert encoder.get_text_embedding("a") == sparse.get_text_embedding("a")
        assert encoder._client._engine is sparse._client._engine
    assert "unpickleable" not in caplog.text


def test_a_pickle_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_index.llms.textmill import TextmillLLM  # noqa: PLC0415 - an extra

    components: list[Any] = [
        TextmillRerank(model="m", base_url="http://h", api_key=SECRET),
        TextmillSparseEmbedding("m", "http://h", api_key=SECRET),
        TextmillServerEmbedding("m", "http://h", api_key=SECRET, headers={"x-key": SECRET}),
        TextmillLLM("m", "http://h", api_key=SECRET),
    ]
    monkeypatch.setenv("TEXTMILL_API_KEY", "of the environment")

    for component in components:
        assert SECRET not in repr(pickle.dumps(component))
        made = again(component)
        assert made.model_dump() == component.model_dump()
        assert str(getattr(made.api_key, "get_secret_value", lambda key=made.api_key: key)()) == "of the environment"
        assert SECRET in str(getattr(component.api_key, "get_secret_value", lambda key=component.api_key: key)())
