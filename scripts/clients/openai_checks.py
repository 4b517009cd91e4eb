"""What further clients of OpenAI's embeddings are asked to do: Azure's, LangChain's with its token arrays, LlamaIndex', Infinity's, LiteLLM's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from scripts.clients.chat_checks import USER
from scripts.clients.check import QUERY, TEXTS, Check, Servers, must, package, same
from scripts.clients.texts import SAYS

MINILM = "all-MiniLM-L6-v2"


def azure(servers: Servers) -> None:
    """Vectors and chats by deployments, with the key in a header of its own."""
    kind = package("openai", "openai").AzureOpenAI
    more = {"api_key": "any", "api_version": "2024-10-21", "max_retries": 0}
    client = kind(azure_endpoint=servers.urls["embed"], azure_deployment=MINILM, **more)
    same([one.embedding for one in client.embeddings.create(model=MINILM, input=TEXTS).data], servers.vectors(TEXTS))
    client = kind(azure_endpoint=servers.urls["write"], **more)
    made = client.chat.completions.create(model="says", messages=USER)
    must(made.choices[0].message.content == SAYS, made)
    chunks = client.chat.completions.create(model="says", messages=USER, stream=True)
    must("".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == SAYS, "stream")


def roles(servers: Servers) -> None:
    """The side of a search by a field of its own, and by the model's name."""
    client = package("openai", "openai").OpenAI(base_url=servers.urls["roles"] + "/v1", api_key="any")
    for side in ("query", "document"):
        due = servers.post("roles", "/embed", {"inputs": TEXTS, "prompt_name": side})
        made = client.embeddings.create(model="roles", input=TEXTS, extra_body={"input_type": side})
        same([one.embedding for one in made.data], due)
        named = client.embeddings.create(model=f"roles:{side}", input=TEXTS)
        same([one.embedding for one in named.data], due)


def _langchain(servers: Servers, name: str, **more: Any) -> Any:
    kind = package("langchain_openai", "langchain-openai").OpenAIEmbeddings
    return kind(model=MINILM, base_url=servers.urls[name] + "/v1", api_key="any", max_retries=0, **more)


def langchain_texts(servers: Servers) -> None:
    """LangChain's class told to send texts."""
    embedder = _langchain(servers, "embed", check_embedding_ctx_length=False)
    due = servers.vectors(TEXTS)
    same(embedder.embed_documents(TEXTS), due)
    same(embedder.embed_query(TEXTS[0]), due[0])
    same(asyncio.run(embedder.aembed_documents(TEXTS)), due)


def langchain_refused(servers: Servers) -> None:
    """LangChain's default, ids of cl100k, at a server that takes the model's own: the message says what to do."""
    error = package("openai", "openai").BadRequestError
    try:
        _langchain(servers, "embed").embed_documents(TEXTS)
    except error as refused:
        must("check_embedding_ctx_length=False" in str(refused) and "--token-input" in str(refused), refused)
        return
    must(False, "ids of another vocabulary are no error")  # noqa: FBT003 - the statement is what fails


def langchain_decoded(servers: Servers) -> None:
    """LangChain's default at a server with --token-input cl100k: the same vectors as of texts."""
    embedder = _langchain(servers, "cl100k")
    due = servers.vectors(TEXTS)
    same(embedder.embed_documents(TEXTS), due)
    same(embedder.embed_query(TEXTS[0]), due[0])


def index_openai_like(servers: Servers) -> None:
    """LlamaIndex's class for servers like OpenAI's."""
    kind = package("llama_index.embeddings.openai_like", "llama-index-embeddings-openai-like").OpenAILikeEmbedding
    embedder = kind(model_name=MINILM, api_base=servers.urls["embed"] + "/v1", api_key="any")
    same(embedder.get_text_embedding_batch(TEXTS), servers.vectors(TEXTS))
    same(embedder.get_query_embedding(TEXTS[0]), servers.vectors(TEXTS[:1])[0])
    same(asyncio.run(embedder.aget_text_embedding_batch(TEXTS)), servers.vectors(TEXTS))


def haystack_openai(servers: Servers) -> None:
    """Haystack's own embedders over OpenAI's protocol, which ask for numbers."""
    module = package("haystack.components.embedders", "haystack-ai")
    haystack = package("haystack", "haystack-ai")
    secret = package("haystack.utils", "haystack-ai").Secret.from_token("any")
    more = {"model": MINILM, "api_key": secret, "api_base_url": servers.urls["embed"] + "/v1"}
    due = servers.vectors(TEXTS)
    same(module.OpenAITextEmbedder(**more).run(TEXTS[0])["embedding"], due[0])
    documents = [haystack.Document(content=text) for text in TEXTS]
    made = module.OpenAIDocumentEmbedder(**more, progress_bar=False).run(documents)["documents"]
    same([one.embedding for one in made], due)


def litellm_embeddings(servers: Servers) -> None:
    """LiteLLM's ways to servers of this kind: as OpenAI's, vLLM's, Infinity's, Ollama's."""
    litellm = package("litellm", "litellm")
    due, url = servers.vectors(TEXTS), servers.urls["embed"]
    for model, base in (
        (f"openai/{MINILM}", f"{url}/v1"),
        (f"hosted_vllm/{MINILM}", f"{url}/v1"),
        (f"infinity/{MINILM}", url),
        (f"ollama/{MINILM}", url),
    ):
        made = litellm.embedding(model=model, input=TEXTS, api_base=base, api_key="any")
        same([one["embedding"] for one in made.data], due)
        must(made.usage.prompt_tokens > 0, (model, made.usage))


def litellm_rerank(servers: Servers) -> None:
    """LiteLLM's rerankers: Infinity's, vLLM's, Hugging Face's and Cohere's."""
    litellm = package("litellm", "litellm")
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})
    # Documents of Infinity's answers are texts, those of the others at the same path objects: the former are not asked for.
    how = {"query": QUERY, "documents": TEXTS, "api_base": servers.urls["rerank"], "api_key": "any"}
    for model in ("infinity/rerank", "hosted_vllm/rerank", "huggingface/rerank", "cohere/rerank"):
        made = litellm.rerank(model=model, **how, return_documents=not model.startswith("infinity"))
        must([one["index"] for one in made.results] == [one["index"] for one in due], (model, made))
        same([one["relevance_score"] for one in made.results], [one["score"] for one in due])


def infinity(servers: Servers) -> None:
    """Infinity's own client, with nothing said but what it wants to know."""
    routes = package("infinity_client.api.default", "infinity-client")
    bodies, client = import_module("infinity_client.models"), import_module("infinity_client").Client
    for name in ("embeddings", "rerank", "classify"):
        import_module(f"{routes.__name__}.{name}")
    body = bodies.OpenAIEmbeddingInputText(input_=TEXTS)
    made = routes.embeddings.sync(client=client(base_url=servers.urls["embed"]), body=body)
    same([one.embedding for one in made.data], servers.vectors(TEXTS))
    ranked = routes.rerank.sync(
        client=client(base_url=servers.urls["rerank"]), body=bodies.RerankInput(query=QUERY, documents=TEXTS)
    )
    due = servers.post("rerank", "/rerank", {"query": QUERY, "texts": TEXTS})
    must([one.index for one in ranked.results] == [one["index"] for one in due], ranked)
    labels = routes.classify.sync(
        client=client(base_url=servers.urls["classify"]), body=bodies.ClassifyInput(input_=TEXTS)
    )
    due = servers.post("classify", "/predict", {"inputs": [[text] for text in TEXTS]})
    must([row[0].label for row in labels.data] == [row[0]["label"] for row in due], labels)


def litellm_chat(servers: Servers) -> None:
    """LiteLLM's chats, at once and as streams."""
    litellm = package("litellm", "litellm")
    how = {"model": "openai/says", "messages": USER, "api_base": servers.urls["write"] + "/v1", "api_key": "any"}
    made = litellm.completion(**how)
    must(made.choices[0].message.content == SAYS, made)
    chunks = litellm.completion(**how, stream=True)
    must("".join(one.choices[0].delta.content or "" for one in chunks) == SAYS, "stream")


CHECKS: Sequence[Check] = (
    Check("openai", "AzureOpenAI", "/openai/deployments/…", azure),
    Check("openai", "input_type and model:query", "/v1/embeddings", roles),
    Check("langchain-openai", "OpenAIEmbeddings, texts", "/v1/embeddings", langchain_texts),
    Check(
        "langchain-openai",
        "OpenAIEmbeddings, its default: refused with what to do",
        "/v1/embeddings",
        langchain_refused,
    ),
    Check(
        "langchain-openai", "OpenAIEmbeddings, its default, --token-input cl100k", "/v1/embeddings", langchain_decoded
    ),
    Check("llama-index-embeddings-openai-like", "OpenAILikeEmbedding", "/v1/embeddings", index_openai_like),
    Check("haystack-ai", "OpenAITextEmbedder, OpenAIDocumentEmbedder", "/v1/embeddings", haystack_openai),
    Check("infinity-client", "embeddings, rerank, classify", "/embeddings, /rerank, /classify", infinity),
    Check("litellm", "embedding", "/v1/embeddings, /embeddings, /api/embed", litellm_embeddings),
    Check("litellm", "rerank; as infinity/ without documents", "/rerank, /v1/rerank, /v2/rerank", litellm_rerank),
    Check("litellm", "completion", "/v1/chat/completions", litellm_chat),
)
