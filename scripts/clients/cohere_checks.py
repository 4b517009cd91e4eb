"""What Cohere's client, and frameworks' rerankers by Cohere's and Jina's protocols, are asked to do."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

from scripts.clients.check import QUERY, TEXTS, Check, Servers, must, package, same

EMBEDDER = "all-MiniLM-L6-v2"
RERANKER = "rerank"
NAMED = "embed-english-v3.0"
"""What the server of `named` calls MiniLM: LlamaIndex's class takes Cohere's own names only."""
MANY = 200
"""Texts: more than the 96 that the client sends at once."""


def client(servers: Servers, name: str, kind: str) -> Any:
    """Cohere's client at one of the servers."""
    made: Any = getattr(package("cohere", "cohere"), kind)
    return made(api_key="any", base_url=servers.urls[name])


def first_embeddings(servers: Servers) -> None:
    """Version 1: floats, types, and requests in pieces."""
    cohere = client(servers, "embed", "Client")
    made = cohere.embed(texts=TEXTS, model=EMBEDDER, input_type="search_document")
    must(made.response_type == "embeddings_floats", made.response_type)
    same(made.embeddings, servers.vectors(TEXTS))
    texts = [f"{TEXTS[0]} {index}" for index in range(MANY)]
    pieces = cohere.embed(texts=texts, model=EMBEDDER, input_type="search_query", embedding_types=["float", "int8"])
    same(pieces.embeddings.float_, servers.vectors(texts))
    must(pieces.texts == texts, "the texts come back in another order")


def second_embeddings(servers: Servers) -> None:
    """Version 2: every type, inputs of parts, fewer dimensions."""
    numpy = package("numpy", "numpy")
    cohere = client(servers, "embed", "ClientV2")
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    made = cohere.embed(texts=TEXTS, model=EMBEDDER, input_type="search_document", embedding_types=types).embeddings
    floats = numpy.asarray(made.float_, numpy.float32)
    same(floats, servers.vectors(TEXTS))
    same([numpy.frombuffer(base64.b64decode(text), "<f4") for text in made.base64], floats)
    same(made.ubinary, numpy.packbits(floats > 0, axis=-1))
    same(numpy.asarray(made.binary) + 128, made.ubinary)
    same(numpy.asarray(made.int8) + 128, made.uint8)
    inputs = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    short = cohere.embed(inputs=inputs, model=EMBEDDER, input_type="search_document", output_dimension=64)
    same(short.embeddings.float_, servers.vectors(TEXTS, dimensions=64))


def rankings(servers: Servers) -> None:
    """Both versions' rerank, with more asked for than there is."""
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})
    documents = [TEXTS[0], {"text": TEXTS[1]}, {"text": TEXTS[2]}]
    for kind, given in (("Client", documents), ("ClientV2", TEXTS)):
        made = client(servers, "rerank", kind).rerank(query=QUERY, documents=given, model=RERANKER, top_n=9).results
        must([each.index for each in made] == [each["index"] for each in due], "another order")
        same([each.relevance_score for each in made], [each["score"] for each in due])


def errors(servers: Servers) -> None:
    """What is refused is an error of the client's, with our words."""
    cohere = package("cohere", "cohere")
    asker = client(servers, "embed", "ClientV2")
    for refused, fields in (
        (cohere.NotFoundError, {"texts": ["a"], "model": "no", "input_type": "search_query"}),
        (cohere.BadRequestError, {"texts": ["a"], "model": EMBEDDER, "input_type": "image"}),
    ):
        try:
            asker.embed(**fields)
        except refused as error:
            must(error.body["message"], "no message")
        else:
            must(holds=False, what=f"{fields} was not refused")


def _ranked(postprocessor: Any, servers: Servers) -> None:
    schema = package("llama_index.core.schema", "llama-index-core")
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text), score=0.0) for text in TEXTS]
    made = postprocessor.postprocess_nodes(nodes, query_str=QUERY)
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})[:2]
    must([node.text for node in made] == [TEXTS[each["index"]] for each in due], "another order")
    same([node.score for node in made], [each["score"] for each in due])


def index_cohere(servers: Servers) -> None:
    """LlamaIndex's reranker by Cohere's protocol."""
    name = "llama-index-postprocessor-cohere-rerank"
    module = package("llama_index.postprocessor.cohere_rerank", name)
    _ranked(module.CohereRerank(api_key="any", model=RERANKER, top_n=2, base_url=servers.urls["rerank"]), servers)


def index_jina(servers: Servers) -> None:
    """LlamaIndex's reranker by Jina's protocol, at both addresses, and its error."""
    name = "llama-index-postprocessor-jinaai-rerank"
    module = package("llama_index.postprocessor.jinaai_rerank", name)
    for end in ("/v1", ""):
        url = servers.urls["rerank"] + end
        _ranked(module.JinaRerank(api_key="any", model=RERANKER, top_n=2, base_url=url), servers)
        try:
            _ranked(module.JinaRerank(api_key="any", model="no", top_n=2, base_url=url), servers)
        except RuntimeError as error:
            must("'no'" in str(error), error)
        else:
            must(holds=False, what="a model that is not there ranked")


def langchain_embeddings(servers: Servers) -> None:
    """LangChain's embeddings by Cohere's protocol."""
    module = package("langchain_cohere", "langchain-cohere")
    made = module.CohereEmbeddings(model=EMBEDDER, cohere_api_key="any", base_url=servers.urls["embed"])
    same(made.embed_documents(TEXTS), servers.vectors(TEXTS))
    same([made.embed_query(QUERY)], servers.vectors([QUERY]))


def langchain_rankings(servers: Servers) -> None:
    """LangChain's compressor, which asks for three of two documents."""
    module = package("langchain_cohere", "langchain-cohere")
    document = package("langchain_core.documents", "langchain-core").Document
    compressor = module.CohereRerank(model=RERANKER, cohere_api_key="any", base_url=servers.urls["rerank"])
    made = compressor.compress_documents([document(text) for text in TEXTS[:2]], QUERY)
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS[:2]})
    same([each.metadata["relevance_score"] for each in made], [each["score"] for each in due])


def loop(servers: Servers) -> None:
    """The client for event loops: several at once."""
    several = client(servers, "embed", "AsyncClientV2")

    async def ask() -> list[Any]:
        one = [several.embed(texts=TEXTS, model=EMBEDDER, input_type="clustering") for _ in range(5)]
        return [made.embeddings.float_ for made in await asyncio.gather(*one)]

    due = servers.vectors(TEXTS)
    for made in asyncio.run(ask()):
        same(made, due)


def roles(servers: Servers) -> None:
    """The prompt of a side of a search comes with input_type."""
    cohere = client(servers, "roles", "ClientV2")
    for side, name in (("search_query", "query"), ("search_document", "document")):
        made = cohere.embed(texts=TEXTS, model="roles", input_type=side, embedding_types=["float"]).embeddings.float_
        same(made, servers.post("roles", "/embed", {"inputs": TEXTS, "prompt_name": name}))


def index_embeddings(servers: Servers) -> None:
    """LlamaIndex's embedder by Cohere's protocol."""
    kind = package("llama_index.embeddings.cohere", "llama-index-embeddings-cohere").CohereEmbedding
    for side in ("search_document", "search_query"):
        embedder = kind(api_key="any", model_name=NAMED, base_url=servers.urls["named"], input_type=side)
        same(embedder.get_text_embedding_batch(TEXTS), servers.vectors(TEXTS))
        same(embedder.get_query_embedding(TEXTS[0]), servers.vectors(TEXTS[:1])[0])


CHECKS: Sequence[Check] = (
    Check("cohere", "embed of version 1", "/v1/embed", first_embeddings),
    Check("cohere", "embed of version 2", "/v2/embed", second_embeddings),
    Check("cohere", "embed in an event loop", "/v2/embed", loop),
    Check("cohere", "input_type chooses the prompt", "/v2/embed", roles),
    Check("cohere", "rerank of both versions", "/v1/rerank, /v2/rerank", rankings),
    Check("cohere", "errors", "/v2/embed", errors),
    Check("llama-index-embeddings-cohere", "CohereEmbedding", "/v1/embed", index_embeddings),
    Check("llama-index-postprocessor-cohere-rerank", "CohereRerank", "/v2/rerank", index_cohere),
    Check("llama-index-postprocessor-jinaai-rerank", "JinaRerank, its errors", "/v1/rerank, /rerank", index_jina),
    Check("langchain-cohere", "CohereEmbeddings", "/v1/embed", langchain_embeddings),
    Check("langchain-cohere", "CohereRerank", "/v1/rerank", langchain_rankings),
)
