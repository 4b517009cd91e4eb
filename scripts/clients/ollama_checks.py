"""What clients of Ollama are asked, and what must come of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

from scripts.clients.chat_checks import ADA, TOOLS, USER, person
from scripts.clients.check import TEXTS, Check, Servers, must, package, same
from scripts.clients.texts import SAYS, THOUGHT

MINILM: Final = "all-MiniLM-L6-v2"
MAX: Final = 900


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.

    """
    return f"It rains in {city}."


def ollama_client(servers: Servers, kind: str = "write") -> Any:
    """The package's client."""
    return package("ollama", "ollama").Client(host=servers.urls[kind])


def ollama_text(servers: Servers) -> None:
    """Chats and prompts, streamed and not, with options, a stop string and a limit."""
    client = ollama_client(servers)
    made = client.chat("says", USER)
    must(made.message.content == SAYS and made.done_reason == "stop" and made.eval_count > 0, made)
    must(made.total_duration >= made.load_duration, made)
    parts = list(client.chat("says", USER, stream=True))
    must("".join(part.message.content for part in parts) == SAYS and parts[-1].done, parts)
    must(client.generate("says", "Hello", system="Be short.").response == SAYS, "generate")
    must("".join(part.response for part in client.generate("says", "Hello", stream=True)) == SAYS, "stream")
    cut = client.generate("says", "Hello", raw=True, options={"num_predict": 3})
    must(cut.done_reason == "length" and cut.eval_count == 3, cut)  # noqa: PLR2004 - as asked
    must(client.generate("says", "Hello", options={"stop": ["river"]}).response + "river." == SAYS, "stop")
    told = client.chat("says", USER, logprobs=True, top_logprobs=2).logprobs
    must("".join(one.token for one in told).startswith(SAYS), told)
    must(client.generate("says").done_reason == "load", "load")
    must(client.generate("says", keep_alive=0).done_reason == "unload", "unload")


def ollama_more(servers: Servers) -> None:
    """Reasoning, calls and their answers, JSON schemas."""
    client = ollama_client(servers)
    made = client.chat("thinks", USER, think=True).message
    must(made.thinking.strip() == THOUGHT and made.content.strip() == "Water does.", made)
    called = client.chat("calls", USER, tools=[weather]).message
    must(called.tool_calls[0].function.arguments == {"city": "Oslo"}, called)
    answered = [*USER, called, {"role": "tool", "tool_name": "weather", "content": "It rains."}]
    must(client.chat("calls", answered, tools=[weather]).message.tool_calls, "an answer to a call")
    form = person().model_json_schema()
    made = client.chat("wild", USER, format=form, options={"num_predict": 3 * MAX}).message
    must({*json.loads(made.content)} == {*ADA}, made)


def ollama_models(servers: Servers) -> None:
    """Which models there are, what one is, and errors."""
    client, errors = ollama_client(servers), package("ollama", "ollama").ResponseError
    must("says" in [model.model for model in client.list().models], client.list())
    client.chat("says", USER)
    must("says" in [model.model for model in client.ps().models], client.ps())
    shown = client.show("says:latest")
    must("completion" in shown.capabilities and shown.modelinfo["llama.context_length"] > 0, shown)
    for ask, status in (
        (lambda: client.chat("nobody", USER), HTTPStatus.NOT_FOUND),
        (lambda: list(client.chat("nobody", USER, stream=True)), HTTPStatus.NOT_FOUND),
        (lambda: client.generate("says", "x " * 20_000), HTTPStatus.BAD_REQUEST),
        (lambda: client.pull("says"), HTTPStatus.NOT_FOUND),
    ):
        try:
            must(not ask(), "an error")
        except errors as error:
            must(error.status_code == status, error)


def ollama_loop(servers: Servers) -> None:
    """The client for event loops: several at once, and one that leaves in mid-stream."""
    client = package("ollama", "ollama").AsyncClient(host=servers.urls["write"])

    async def work() -> None:
        made = await asyncio.gather(*(client.chat("says", USER) for _ in range(5)))
        must({one.message.content for one in made} == {SAYS}, made)
        async for part in await client.chat("endless", USER, stream=True):
            must(not part.done, part)
            break
        must((await client.chat("endless", USER, options={"num_predict": 4})).done_reason == "length", "endless")

    asyncio.run(work())


def ollama_embed(servers: Servers) -> None:
    """Vectors, many and one, with options, and fewer dimensions."""
    client, due = ollama_client(servers, "embed"), servers.vectors(TEXTS)
    made = client.embed(MINILM, TEXTS)
    same(made.embeddings, due)
    must(made.prompt_eval_count > 0, made)
    same(client.embed(f"{MINILM}:latest", TEXTS[0], options={"num_ctx": 256}, keep_alive="5m").embeddings, due[:1])
    must(len(client.embed(MINILM, TEXTS, dimensions=64).embeddings[0]) == 64, "dimensions")  # noqa: PLR2004 - as asked
    same(client.embeddings(MINILM, TEXTS[0]).embedding, due[0])


def langchain_embed(servers: Servers) -> None:
    """Documents and a query, with the options that are all null."""
    kind = package("langchain_ollama", "langchain-ollama").OllamaEmbeddings
    made, due = kind(model=MINILM, base_url=servers.urls["embed"], validate_model_on_init=True), servers.vectors(TEXTS)
    same(made.embed_documents(TEXTS), due)
    same(asyncio.run(made.aembed_query(TEXTS[0])), due[0])


def langchain_chat(servers: Servers) -> None:
    """Answers, streams, calls, schemas and reasoning."""
    module = package("langchain_ollama", "langchain-ollama")

    def model(name: str, **more: Any) -> Any:
        return module.ChatOllama(model=name, base_url=servers.urls["write"], **more)

    made = model("says", validate_model_on_init=True).invoke("Hello")
    must(made.content == SAYS and made.usage_metadata["output_tokens"] > 0, made)
    must("".join(one.content for one in model("says").stream("Hello")) == SAYS, "stream")
    must(model("calls").bind_tools([weather]).invoke("Hello").tool_calls[0]["args"] == {"city": "Oslo"}, "tools")
    form = person()
    must(isinstance(model("wild", num_predict=3 * MAX).with_structured_output(form).invoke("Hello"), form), "schema")
    thought = model("thinks", reasoning=True).invoke("Hello").additional_kwargs["reasoning_content"]
    must(thought.strip() == THOUGHT, thought)
    must(module.OllamaLLM(model="says", base_url=servers.urls["write"]).invoke("Hello") == SAYS, "OllamaLLM")


def index_embed(servers: Servers) -> None:
    """Texts and a query."""
    kind = package("llama_index.embeddings.ollama", "llama-index-embeddings-ollama").OllamaEmbedding
    made, due = kind(model_name=MINILM, base_url=servers.urls["embed"]), servers.vectors(TEXTS)
    same(made.get_text_embedding_batch(TEXTS), due)
    same(asyncio.run(made.aget_query_embedding(TEXTS[0])), due[0])


def index_chat(servers: Servers) -> None:
    """Completions, streams, a chat and calls."""
    kind = package("llama_index.llms.ollama", "llama-index-llms-ollama").Ollama
    core = import_module("llama_index.core.llms")
    tool = import_module("llama_index.core.tools").FunctionTool.from_defaults(weather)
    says = kind(model="says", base_url=servers.urls["write"])
    must(says.complete("Hello").text == SAYS, "complete")
    must("".join(one.delta for one in says.stream_complete("Hello")) == SAYS, "stream")
    must(says.chat([core.ChatMessage(role="user", content="Hello")]).message.content == SAYS, "chat")
    calls = kind(model="calls", base_url=servers.urls["write"])
    made = calls.get_tool_calls_from_response(calls.chat_with_tools([tool], user_msg="Hello"))
    must(made[0].tool_kwargs == {"city": "Oslo"}, made)


def lite_chat(servers: Servers) -> None:
    """Both of its routes, streamed and not, and calls."""
    ask = package("litellm", "litellm").completion
    for way in ("ollama", "ollama_chat"):
        model = f"{way}/says"
        must(ask(model=model, messages=USER, api_base=servers.urls["write"]).choices[0].message.content == SAYS, model)
        parts = list(ask(model=model, messages=USER, api_base=servers.urls["write"], stream=True))
        must("".join(part.choices[0].delta.content or "" for part in parts) == SAYS, parts)
    made = ask(model="ollama_chat/calls", messages=USER, api_base=servers.urls["write"], tools=TOOLS)
    must(json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {"city": "Oslo"}, made)


CHECKS: Sequence[Check] = (
    Check("ollama", "embed, embeddings", "/api/embed, /api/embeddings", ollama_embed),
    Check("ollama", "chat, generate", "/api/chat, /api/generate", ollama_text),
    Check("ollama", "thinking, tools, schemas", "/api/chat", ollama_more),
    Check("ollama", "list, ps, show, errors", "/api/tags, /api/ps, /api/show", ollama_models),
    Check("ollama", "AsyncClient", "/api/chat", ollama_loop),
    Check("langchain-ollama", "OllamaEmbeddings", "/api/embed", langchain_embed),
    Check("langchain-ollama", "ChatOllama, OllamaLLM", "/api/chat, /api/generate", langchain_chat),
    Check("llama-index-embeddings-ollama", "OllamaEmbedding", "/api/embed", index_embed),
    Check("llama-index-llms-ollama", "Ollama", "/api/chat", index_chat),
    Check("litellm", "completion as ollama/ and ollama_chat/", "/api/generate, /api/chat", lite_chat),
)
