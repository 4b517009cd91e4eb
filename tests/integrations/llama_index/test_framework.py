"""What LlamaIndex does with an embedding model: pipelines, indexes, callbacks, events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import TextNode
from llama_index.embeddings.textmill import TextmillEmbedding

DOCUMENTS = [
    Document(text=f"Mill number {number} turns by water.", metadata={"number": number}) for number in range(20)
]


@pytest.fixture
def model(tiny: Path) -> TextmillEmbedding:
    return TextmillEmbedding(str(tiny))


def test_a_pipeline_embeds_nodes_with_their_metadata(model: TextmillEmbedding) -> None:
    nodes = IngestionPipeline(transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=0), model]).run(
        documents=DOCUMENTS
    )

    assert len(nodes) == 20
    assert nodes[3].embedding == pytest.approx(
        model.get_text_embedding("number: 3\n\nMill number 3 turns by water."), abs=1e-5
    )


async def test_a_pipeline_of_an_event_loop(model: TextmillEmbedding) -> None:
    nodes = await IngestionPipeline(transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=0), model]).arun(
        documents=DOCUMENTS
    )

    assert all(node.embedding for node in nodes)


async def test_an_index_that_is_stored_and_read_again_finds_the_same(model: TextmillEmbedding, tmp_path: Path) -> None:
    Settings.embed_model = model
    nodes = [TextNode(text=document.text, id_=str(number)) for number, document in enumerate(DOCUMENTS)]
    VectorStoreIndex(nodes).storage_context.persist(str(tmp_path))

    index = load_index_from_storage(StorageContext.from_defaults(persist_dir=str(tmp_path)))
    retriever = index.as_retriever(similarity_top_k=3)
    found, awaited = retriever.retrieve("Mill number 7"), await retriever.aretrieve("Mill number 7")

    assert [node.node_id for node in found] == [node.node_id for node in awaited]
    assert found[0].score == pytest.approx(
        model.similarity(model.get_query_embedding("Mill number 7"), model.get_text_embedding(found[0].text)), abs=1e-5
    )


def test_callbacks_hear_of_every_batch(tiny: Path) -> None:
    heard = LlamaDebugHandler(print_trace_on_end=False)
    model = TextmillEmbedding(str(tiny), embed_batch_size=10, callback_manager=CallbackManager([heard]))

    model.get_text_embedding_batch(["a"] * 25)

    payloads = [end.payload for _, end in heard.get_event_pairs(CBEventType.EMBEDDING)]
    assert [len(payload["chunks"]) for payload in payloads if payload] == [10, 10, 5]


def test_instrumentation_hears_of_every_batch(model: TextmillEmbedding, heard: list[Any]) -> None:
    model.get_text_embedding_batch(["a", "b"])

    [ended] = [event for event in heard if isinstance(event, EmbeddingEndEvent)]
    assert ended.chunks == ["a", "b"]
