"""What clients of embeddings, classes and rankings are asked to do, and what must come of it: the same as plain JSON over HTTP gives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from scripts.clients.check import QUERY, TEXTS, Check, Servers, must, package, same


def hub(servers: Servers, name: str) -> Any:
    """Hugging Face's client of a server."""
    return package("huggingface_hub", "huggingface_hub").InferenceClient(servers.urls[name])


def hub_feature_extraction(servers: Servers) -> None:
    """One text, several, and with options."""
    client = hub(servers, "embed")
    same(client.feature_extraction(TEXTS[0]), servers.vectors(TEXTS[:1]))
    same(client.feature_extraction(TEXTS), servers.vectors(TEXTS))
    options = {"normalize": False, "truncate": True, "truncation_direction": "left"}
    same(client.feature_extraction(TEXTS[0], **options), servers.vectors(TEXTS[:1], **options))


def hub_sentence_similarity(servers: Servers) -> None:
    """A text beside others."""
    made = hub(servers, "embed").sentence_similarity(TEXTS[0], TEXTS[1:])
    first, *others = servers.vectors(TEXTS)
    same(made, [sum(a * b for a, b in zip(first, other, strict=True)) for other in others])


def hub_text_classification(servers: Servers) -> None:
    """All labels, and the best."""
    client = hub(servers, "classify")
    due = servers.post("classify", "/predict", {"inputs": TEXTS[0]})
    made = client.text_classification(TEXTS[0])
    must([one.label for one in made] == [one["label"] for one in due], made)
    same([one.score for one in made], [one["score"] for one in due])
    best = client.text_classification(TEXTS[0], top_k=1)
    must(len(best) == 1 and best[0].label == due[0]["label"], best)


def openai_embeddings(servers: Servers) -> None:
    """Base64 as the client asks by default, floats, dimensions, and the async client."""
    openai = package("openai", "openai")
    url = servers.urls["embed"] + "/v1"
    client = openai.OpenAI(base_url=url, api_key="any")
    due = servers.vectors(TEXTS)
    same([one.embedding for one in client.embeddings.create(model="all-MiniLM-L6-v2", input=TEXTS).data], due)
    floats = client.embeddings.create(model="all-MiniLM-L6-v2", input=TEXTS[0], encoding_format="float")
    same([floats.data[0].embedding], due[:1])
    must(floats.usage.prompt_tokens > 0, floats.usage)
    short = client.embeddings.create(model="all-MiniLM-L6-v2", input=TEXTS[0], dimensions=64)
    must(len(short.data[0].embedding) == 64, len(short.data[0].embedding))  # noqa: PLR2004 - as asked
    must("all-MiniLM-L6-v2" in [model.id for model in client.models.list()], "the model is not listed")

    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=url, api_key="any") as several:
            return await several.embeddings.create(model="all-MiniLM-L6-v2", input=TEXTS)

    same([one.embedding for one in asyncio.run(ask()).data], due)
    try:
        client.embeddings.create(model="all-MiniLM-L6-v2", input=[])
    except openai.BadRequestError:
        return
    must(False, "an empty list is no BadRequestError")  # noqa: FBT003 - the statement is what fails


def llama_index_embedder(servers: Servers) -> None:
    """Documents, a query, and both from an event loop. A model name without prefixes, which the class adds by itself."""
    module = package(
        "llama_index.embeddings.text_embeddings_inference", "llama-index-embeddings-text-embeddings-inference"
    )
    embedder = module.TextEmbeddingsInference(model_name="all-MiniLM-L6-v2", base_url=servers.urls["embed"])
    due = servers.vectors(TEXTS)
    same(embedder.get_text_embedding_batch(TEXTS), due)
    same(embedder.get_query_embedding(TEXTS[0]), due[0])
    same(asyncio.run(embedder.aget_text_embedding_batch(TEXTS)), due)


def llama_index_hub_embedder(servers: Servers) -> None:
    """LlamaIndex's class over Hugging Face's client, with a URL for a model."""
    module = package("llama_index.embeddings.huggingface_api", "llama-index-embeddings-huggingface-api")
    embedder = module.HuggingFaceInferenceAPIEmbedding(model_name=servers.urls["embed"], token="any")  # noqa: S106
    same(embedder.get_text_embedding_batch(TEXTS), servers.vectors(TEXTS))


def llama_index_reranker(servers: Servers) -> None:
    """The best two of three."""
    module = package("llama_index.postprocessor.tei_rerank", "llama-index-postprocessor-tei-rerank")
    schema = import_module("llama_index.core.schema")
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text)) for text in TEXTS]
    ranker = module.TextEmbeddingInference(base_url=servers.urls["rerank"], top_n=2)
    made = ranker.postprocess_nodes(nodes, query_str=QUERY)
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})[:2]
    must([one.text for one in made] == [TEXTS[one["index"]] for one in due], made)
    same([one.score for one in made], [one["score"] for one in due])


def haystack(kind: str) -> Any:
    """A module of Haystack's components for Hugging Face's servers."""
    return package(f"haystack_integrations.components.{kind}.huggingface_api", "'huggingface-api-haystack[grpc]'")


def documents() -> list[Any]:
    """The texts as Haystack's documents."""
    return [import_module("haystack").Document(content=text) for text in TEXTS]


def haystack_embedders(servers: Servers, *, grpc: bool = False) -> None:
    """A text and documents. They ask for vectors that are not normalised, unless told otherwise."""
    module = haystack("embedders")
    how = {"api_type": "text_embeddings_inference", "normalize": True, "use_grpc": grpc}
    how["api_params"] = {"url": (servers.targets if grpc else servers.urls)["embed"]}
    due = servers.vectors(TEXTS)
    same(module.HuggingFaceAPITextEmbedder(**how).run(TEXTS[0])["embedding"], due[0])
    made = module.HuggingFaceAPIDocumentEmbedder(**how, progress_bar=False).run(documents())["documents"]
    same([one.embedding for one in made], due)


def haystack_sparse(servers: Servers, *, grpc: bool = False) -> None:
    """A text and documents."""
    module = haystack("embedders")
    how = {"api_base_url": (servers.targets if grpc else servers.urls)["sparse"], "use_grpc": grpc}
    due = servers.post("sparse", "/embed_sparse", {"inputs": TEXTS})
    one = _named(module, "SparseTextEmbedder")(**how).run(TEXTS[0])["sparse_embedding"]
    must(one.indices == [entry["index"] for entry in due[0]], "other entries")
    same(one.values, [entry["value"] for entry in due[0]])
    made = _named(module, "SparseDocumentEmbedder")(**how).run(documents())["documents"]
    for document, entries in zip(made, due, strict=True):
        must(document.sparse_embedding.indices == [entry["index"] for entry in entries], "other entries")


def _named(module: Any, end: str) -> Any:
    return getattr(module, next(name for name in dir(module) if name.endswith(end)))


def haystack_ranker(servers: Servers, *, grpc: bool = False) -> None:
    """The best two of three."""
    ranker = haystack("rankers").HuggingFaceTEIRanker(
        url=(servers.targets if grpc else servers.urls)["rerank"], top_k=2, use_grpc=grpc
    )
    if hasattr(ranker, "warm_up"):
        ranker.warm_up()
    made = ranker.run(query=QUERY, documents=documents())["documents"]
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})[:2]
    must([one.content for one in made] == [TEXTS[one["index"]] for one in due], made)
    same([one.score for one in made], [one["score"] for one in due])


def reflection(servers: Servers) -> None:
    """grpc-requests finds the services by reflection and calls one."""
    module = package("grpc_requests", "grpc-requests")
    client = module.Client.get_by_endpoint(servers.targets["embed"])
    made = client.request("tei.v1.Embed", "Embed", {"inputs": TEXTS[0], "normalize": True})
    same(made["embeddings"], servers.vectors(TEXTS[:1])[0])


CHECKS: Sequence[Check] = (
    Check("huggingface_hub", "feature_extraction", "POST /", hub_feature_extraction),
    Check("huggingface_hub", "sentence_similarity", "POST /", hub_sentence_similarity),
    Check("huggingface_hub", "text_classification", "POST /", hub_text_classification),
    Check("openai", "embeddings, models", "/v1/embeddings, /v1/models", openai_embeddings),
    Check(
        "llama-index-embeddings-text-embeddings-inference", "TextEmbeddingsInference", "/embed", llama_index_embedder
    ),
    Check(
        "llama-index-embeddings-huggingface-api", "HuggingFaceInferenceAPIEmbedding", "POST /", llama_index_hub_embedder
    ),
    Check("llama-index-postprocessor-tei-rerank", "TextEmbeddingInference", "/rerank", llama_index_reranker),
    Check("huggingface-api-haystack", "embedders", "POST /", haystack_embedders),
    Check("huggingface-api-haystack", "sparse embedders", "/embed_sparse", haystack_sparse),
    Check("huggingface-api-haystack", "HuggingFaceTEIRanker", "/rerank", haystack_ranker),
    Check(
        "huggingface-api-haystack", "embedders, gRPC", "tei.v1.Embed", partial(haystack_embedders, grpc=True), grpc=True
    ),
    Check(
        "huggingface-api-haystack",
        "sparse embedders, gRPC",
        "tei.v1.Embed",
        partial(haystack_sparse, grpc=True),
        grpc=True,
    ),
    Check(
        "huggingface-api-haystack",
        "HuggingFaceTEIRanker, gRPC",
        "tei.v1.Rerank",
        partial(haystack_ranker, grpc=True),
        grpc=True,
    ),
    Check("grpc-requests", "by reflection, gRPC", "tei.v1.Embed", reflection, grpc=True),
)
