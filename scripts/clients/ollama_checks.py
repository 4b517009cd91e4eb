"""What clients of Ollama's protocol are asked to do, and what must come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from scripts.clients.chat_checks import ADA, TOOLS, USER, person
from scripts.clients.check import TEXTS, Check, Servers, must, package, same
from scripts.clients.texts import SAYS, THOUGHT

MINILM = "all-MiniLM-L6-v2"


def ollama(servers: Servers, name: str) -> Any:
    """The package's client of a server."""
    return package("ollama", "ollama").Client(host=servers.urls[name])


def ollama_embed(servers: Servers) -> None:
    """Vectors by the new route and the old one, and the models."""
    client, due = ollama(servers, "embed"), servers.vectors(TEXTS)
    same(client.embed(MINILM, TEXTS).embeddings, due)
    same(client.embed(f"{MINILM}:latest", TEXTS[0], options={"num_ctx": 256}, keep_alive="5m").embeddings, due[:1])
    must(len(client.embed(MINILM, TEXTS, dimensions=64).embeddings[0]) == 64, "dimensions")  # noqa: PLR2004 - as asked
    same(client.embeddings(MINILM, TEXTS[0]).embedding, due[0])
    must(any(MINILM in (one.model or "") for one in client.list().models), client.list())
    must("embedding" in (client.show(MINILM).capabilities or ()), client.show(MINILM))
    must(any(MINILM in (one.model or "") for one in client.ps().models), client.ps())
    error = package("ollama", "ollama").ResponseError
    try:
        client.embed("nothing", TEXTS)
    except error as failed:
        must(failed.status_code == 404 and "nothing" in failed.error, failed)  # noqa: PLR2004 - as Ollama
        return
    must(False, "a model that is not there is no error")  # noqa: FBT003 - the statement is what fails


def ollama_chat(servers: Servers) -> None:
    """Chats at once and as streams, tools, a schema, thoughts; and the async client."""
    client = ollama(servers, "write")
    made = client.chat("says", USER)
    must(made.message.content == SAYS and made.done and made.eval_count > 0 and made.total_duration > 0, made)
    chunks = list(client.chat("says", USER, stream=True))
    must("".join(one.message.content or "" for one in chunks) == SAYS and chunks[-1].done, chunks)
    must(client.chat("says", USER, options={"num_predict": 3}).done_reason == "length", "num_predict")
    must(client.chat("says", USER, options={"stop": ["river"]}).message.content == SAYS.partition("river")[0], "stop")
    for streamed in (False, True):
        made = client.chat("calls", USER, tools=TOOLS, stream=streamed)
        calls = [call for one in (made if streamed else [made]) for call in one.message.tool_calls or ()]
        must([call.function.name for call in calls] == ["weather"], calls)
        must(calls[0].function.arguments == {"city": "Oslo"}, calls)
    form = person()
    said = client.chat("wild", USER, format=form.model_json_schema(), options={"num_predict": 2700}).message.content
    must({*form.model_validate_json(said).model_dump()} == {*ADA}, said)
    made = client.chat("thinks", USER, think=True).message
    must((made.thinking or "").strip() == THOUGHT and made.content.strip() == "Water does.", made)

    async def stream() -> str:
        several = package("ollama", "ollama").AsyncClient(host=servers.urls["write"])
        return "".join([one.message.content async for one in await several.chat("says", USER, stream=True)])

    must(asyncio.run(stream()) == SAYS, "async")


def ollama_generate(servers: Servers) -> None:
    """Prompts at once and as streams."""
    client = ollama(servers, "write")
    must(client.generate("says", "Hello").response == SAYS, "generate")
    chunks = list(client.generate("says", "Hello", stream=True))
    must("".join(one.response for one in chunks) == SAYS and chunks[-1].done_reason == "stop", chunks)
    must(client.generate("says", "Hello", raw=True).response != "", "raw")
    must(client.generate("says", "").done_reason == "load", "an empty prompt loads")


def langchain_ollama(servers: Servers) -> None:
    """LangChain's classes of Ollama's: vectors, chats, streams, tools."""
    module = package("langchain_ollama", "langchain-ollama")
    embedder = module.OllamaEmbeddings(model=MINILM, base_url=servers.urls["embed"])
    same(embedder.embed_documents(TEXTS), servers.vectors(TEXTS))
    same(embedder.embed_query(TEXTS[0]), servers.vectors(TEXTS[:1])[0])
    same(asyncio.run(embedder.aembed_documents(TEXTS)), servers.vectors(TEXTS))
    chat = module.ChatOllama(model="says", base_url=servers.urls["write"])
    must(chat.invoke("Hello").content == SAYS, "invoke")
    must("".join(str(one.content) for one in chat.stream("Hello")) == SAYS, "stream")
    calls = (
        module.ChatOllama(model="calls", base_url=servers.urls["write"]).bind_tools(TOOLS).invoke("Hello").tool_calls
    )
    must([(one["name"], one["args"]) for one in calls] == [("weather", {"city": "Oslo"})], calls)
    must(module.OllamaLLM(model="says", base_url=servers.urls["write"]).invoke("Hello") == SAYS, "OllamaLLM")


def index_ollama(servers: Servers) -> None:
    """LlamaIndex's classes of Ollama's."""
    kind = package("llama_index.embeddings.ollama", "llama-index-embeddings-ollama").OllamaEmbedding
    embedder = kind(model_name=MINILM, base_url=servers.urls["embed"])
    same(embedder.get_text_embedding_batch(TEXTS), servers.vectors(TEXTS))
    same(embedder.get_query_embedding(TEXTS[0]), servers.vectors(TEXTS[:1])[0])
    llm = package("llama_index.llms.ollama", "llama-index-llms-ollama").Ollama(
        model="says", base_url=servers.urls["write"], request_timeout=60
    )
    message = import_module("llama_index.core.llms").ChatMessage(role="user", content="Hello")
    must(llm.chat([message]).message.content == SAYS, "chat")
    must(list(llm.stream_chat([message]))[-1].message.content == SAYS, "stream")
    must(llm.complete("Hello").text == SAYS, "complete")


CHECKS: Sequence[Check] = (
    Check("ollama", "embed, embeddings, list, show, ps", "/api/embed, /api/tags …", ollama_embed),
    Check("ollama", "chat", "/api/chat", ollama_chat),
    Check("ollama", "generate", "/api/generate", ollama_generate),
    Check("langchain-ollama", "OllamaEmbeddings, ChatOllama, OllamaLLM", "/api/embed, /api/chat …", langchain_ollama),
    Check("llama-index-llms-ollama", "OllamaEmbedding, Ollama", "/api/embed, /api/chat", index_ollama),
)
