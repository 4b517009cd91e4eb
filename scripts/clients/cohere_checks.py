"""What clients of Cohere's protocol, and of Jina's rerank, are asked to do; the models' own prompts by input_type among it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from scripts.clients.check import QUERY, TEXTS, Check, Servers, must, package, same

MODEL: Final = "embed-english-v3.0"
"""What the server of `named` calls MiniLM: LlamaIndex's class takes Cohere's own names only."""
MANY: Final = 200
"""More than the 96 that the client of the first version sends at once."""


def cohere_v1(servers: Servers) -> None:
    """Vectors by the first version: plain ones, by types, many texts; and both sides of a search."""
    client = package("cohere", "cohere").Client(api_key="any", base_url=servers.urls["embed"])
    due = servers.vectors(TEXTS)
    same(client.embed(texts=TEXTS, model="m", input_type="search_document").embeddings, due)
    typed = client.embed(texts=TEXTS, model="m", input_type="search_document", embedding_types=["float", "int8"])
    same(typed.embeddings.float_, due)
    must([len(row) for row in typed.embeddings.int8] == [len(row) for row in due], "int8")
    many = [f"text {number}" for number in range(MANY)]
    same(client.embed(texts=many, model="m", input_type="search_document").embeddings, servers.vectors(many))


def cohere_v2(servers: Servers) -> None:
    """Vectors by the second version: every type, fewer dimensions, inputs as parts, an error, and the async client."""
    cohere = package("cohere", "cohere")
    client = cohere.ClientV2(api_key="any", base_url=servers.urls["embed"])
    due = servers.vectors(TEXTS)
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    made = client.embed(texts=TEXTS, model="m", input_type="search_document", embedding_types=types).embeddings
    same(made.float_, due)
    must(all(-128 <= value <= 127 for row in made.int8 for value in row), "int8")  # noqa: PLR2004 - its range
    must(len(made.binary[0]) * 8 == len(made.ubinary[0]) * 8 == len(due[0]), "bits")
    numpy = package("numpy", "numpy")
    same([numpy.frombuffer(base64.b64decode(row), "<f4") for row in made.base64], due)
    short = client.embed(texts=TEXTS, model="m", input_type="search_query", output_dimension=64)
    must(len(short.embeddings.float_[0]) == 64, "dimensions")  # noqa: PLR2004 - as asked
    parts = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    same(client.embed(inputs=parts, model="m", input_type="search_document").embeddings.float_, due)

    async def ask() -> Any:
        several = cohere.AsyncClientV2(api_key="any", base_url=servers.urls["embed"])
        return (await several.embed(texts=TEXTS, model="m", input_type="clustering")).embeddings.float_

    same(asyncio.run(ask()), due)
    try:
        client.embed(texts=[], model="m", input_type="search_document")
    except cohere.core.ApiError as error:
        must(error.status_code in (400, 422), error)
        return
    must(False, "an empty list is no error")  # noqa: FBT003 - the statement is what fails


def cohere_roles(servers: Servers) -> None:
    """The prompt of a side of a search comes with input_type."""
    client = package("cohere", "cohere").ClientV2(api_key="any", base_url=servers.urls["roles"])
    for side, name in (("search_query", "query"), ("search_document", "document")):
        made = client.embed(texts=TEXTS, model="m", input_type=side, embedding_types=["float"]).embeddings.float_
        same(made, servers.post("roles", "/embed", {"inputs": TEXTS, "prompt_name": name}))


def cohere_rerank(servers: Servers) -> None:
    """Rankings by both versions; more wanted than there are."""
    cohere = package("cohere", "cohere")
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})
    objects = [{"text": text} for text in TEXTS]
    first = cohere.Client(api_key="any", base_url=servers.urls["rerank"])
    second = cohere.ClientV2(api_key="any", base_url=servers.urls["rerank"])
    for made in (
        first.rerank(query=QUERY, documents=TEXTS, model="m", top_n=9),
        first.rerank(query=QUERY, documents=objects, model="m", return_documents=True),
        second.rerank(query=QUERY, documents=TEXTS, model="m"),
    ):
        must([one.index for one in made.results] == [one["index"] for one in due], made)
        same([one.relevance_score for one in made.results], [one["score"] for one in due])
    must(len(second.rerank(query=QUERY, documents=TEXTS, model="m", top_n=2).results) == 2, "top_n")  # noqa: PLR2004


def index_cohere(servers: Servers) -> None:
    """LlamaIndex's embedder of Cohere's."""
    kind = package("llama_index.embeddings.cohere", "llama-index-embeddings-cohere").CohereEmbedding
    for side in ("search_document", "search_query"):
        embedder = kind(api_key="any", model_name=MODEL, base_url=servers.urls["named"], input_type=side)
        same(embedder.get_text_embedding_batch(TEXTS), servers.vectors(TEXTS))
        same(embedder.get_query_embedding(TEXTS[0]), servers.vectors(TEXTS[:1])[0])


def _ranked(servers: Servers, ranker: Any) -> None:
    schema = import_module("llama_index.core.schema")
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text)) for text in TEXTS]
    made = ranker.postprocess_nodes(nodes, query_str=QUERY)
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})[:2]
    must([one.text for one in made] == [TEXTS[one["index"]] for one in due], made)
    same([one.score for one in made], [one["score"] for one in due])


def index_cohere_rerank(servers: Servers) -> None:
    """LlamaIndex's reranker of Cohere's: the best two of three."""
    kind = package("llama_index.postprocessor.cohere_rerank", "llama-index-postprocessor-cohere-rerank").CohereRerank
    _ranked(servers, kind(top_n=2, model="m", api_key="any", base_url=servers.urls["rerank"]))


def index_jina_rerank(servers: Servers) -> None:
    """LlamaIndex's reranker of Jina's: the best two of three; and what it makes of an error."""
    kind = package("llama_index.postprocessor.jinaai_rerank", "llama-index-postprocessor-jinaai-rerank").JinaRerank
    _ranked(servers, kind(top_n=2, model="m", api_key="any", base_url=servers.urls["rerank"] + "/v1"))
    try:
        _ranked(servers, kind(top_n=2, model="m", api_key="any", base_url=servers.urls["embed"] + "/v1"))
    except RuntimeError as error:
        must("rerank" in str(error), error)
        return
    must(False, "a model that cannot rank is no error")  # noqa: FBT003 - the statement is what fails


def langchain_cohere(servers: Servers) -> None:
    """LangChain's embedder and compressor of Cohere's."""
    module = package("langchain_cohere", "langchain-cohere")
    embedder = module.CohereEmbeddings(model="m", cohere_api_key="any", base_url=servers.urls["embed"])
    same(embedder.embed_documents(TEXTS), servers.vectors(TEXTS))
    same(embedder.embed_query(TEXTS[0]), servers.vectors(TEXTS[:1])[0])
    kind = import_module("langchain_core.documents").Document
    ranker = module.CohereRerank(model="m", cohere_api_key="any", base_url=servers.urls["rerank"], top_n=5)
    made = ranker.compress_documents([kind(page_content=text) for text in TEXTS], QUERY)
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})
    must([one.page_content for one in made] == [TEXTS[one["index"]] for one in due], made)
    same([one.metadata["relevance_score"] for one in made], [one["score"] for one in due])


CHECKS: Sequence[Check] = (
    Check("cohere", "Client.embed", "/v1/embed", cohere_v1),
    Check("cohere", "ClientV2.embed", "/v2/embed", cohere_v2),
    Check("cohere", "input_type chooses the prompt", "/v2/embed", cohere_roles),
    Check("cohere", "rerank of both versions", "/v1/rerank, /v2/rerank", cohere_rerank),
    Check("llama-index-embeddings-cohere", "CohereEmbedding", "/v1/embed", index_cohere),
    Check("llama-index-postprocessor-cohere-rerank", "CohereRerank", "/v2/rerank", index_cohere_rerank),
    Check("llama-index-postprocessor-jinaai-rerank", "JinaRerank", "/v1/rerank", index_jina_rerank),
    Check("langchain-cohere", "CohereEmbeddings, CohereRerank", "/v1/embed, /v1/rerank", langchain_cohere),
)
