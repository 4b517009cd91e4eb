"""What frameworks over OpenAI's protocol are asked to write, and what must come of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from scripts.clients.chat_checks import ADA, TOOLS, USER, base, person, place
from scripts.clients.check import Check, Servers, must, package
from scripts.clients.texts import SAYS

MAX = 900


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


def langchain(servers: Servers, model: str, **more: Any) -> Any:
    """LangChain's client of a model."""
    kind = package("langchain_openai", "langchain-openai").ChatOpenAI
    return kind(model=model, base_url=base(servers), api_key="any", max_retries=0, **more)


def langchain_chat(servers: Servers) -> None:
    """Answers one by one, several at once, as streams and in an event loop, with their usage."""
    model = langchain(servers, "says")
    made = model.invoke("Hello")
    must(made.content == SAYS and made.usage_metadata["output_tokens"] > 0, made)
    must(made.response_metadata["finish_reason"] == "stop", made)
    must([one.content for one in model.batch(["a", "b", "c"])] == [SAYS] * 3, "batch")
    chunks = list(model.stream("Hello", stream_usage=True))
    must("".join(one.content for one in chunks) == SAYS, chunks)
    must(sum((one.usage_metadata or {}).get("output_tokens", 0) for one in chunks) > 0, chunks)
    must(made.content == model.bind(stop=["river"]).invoke("Hello").content + "river.", "stop")

    async def stream() -> list[Any]:
        must((await model.ainvoke("Hello")).content == SAYS, "ainvoke")
        return [chunk.content async for chunk in model.astream("Hello")]

    must("".join(asyncio.run(stream())) == SAYS, "astream")


def langchain_tools(servers: Servers) -> None:
    """Calls of the model's own will, forced, and streamed; the answer to one."""
    tool = import_module("langchain_core.tools").tool(weather, args_schema=place())
    messages = import_module("langchain_core.messages")
    for model, choice in (("calls", "auto"), ("calls", "any"), ("wild", "weather")):
        bound = langchain(servers, model, max_tokens=MAX).bind_tools(
            [tool], tool_choice=choice, parallel_tool_calls=False
        )
        made = bound.invoke("Hello")
        must(len(made.tool_calls) == 1 and made.tool_calls[0]["name"] == "weather", made)
        first, *rest = bound.stream("Hello")
        for chunk in rest:
            first += chunk
        must(isinstance(first.tool_calls[0]["args"]["city"], str), first)
        answer = tool.invoke(made.tool_calls[0])
        told = langchain(servers, "says").invoke([messages.HumanMessage("Hello"), made, answer])
        must(told.content == SAYS, told)


def langchain_structured(servers: Servers) -> None:
    """Pydantic's models by all three methods."""
    kind = person()
    for model, method in (
        ("json", "json_mode"),
        ("json", "json_schema"),
        ("wild", "json_schema"),
        ("wild", "function_calling"),
    ):
        bound = langchain(servers, model, max_tokens=3 * MAX).with_structured_output(
            kind, method=method, include_raw=True
        )
        made = bound.invoke("Hello, as JSON")
        must(made["parsing_error"] is None and isinstance(made["parsed"], kind), (model, method, made))
        if method == "json_mode":
            must(made["parsed"].model_dump() == ADA, made)
    *_, last = (
        langchain(servers, "json", max_tokens=MAX).with_structured_output(kind, method="json_schema").stream("Hello")
    )
    must(isinstance(last, kind), last)


def index(servers: Servers, model: str, **more: Any) -> Any:
    """LlamaIndex's client of a model."""
    kind = package("llama_index.llms.openai_like", "llama-index-llms-openai-like").OpenAILike
    how = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 16384, "max_retries": 0}
    return kind(model=model, api_base=base(servers), api_key="any", **(how | more))


def index_chat(servers: Servers) -> None:
    """Chats and completions, streamed and not, and in an event loop."""
    message = package("llama_index.core.llms", "llama-index-core").ChatMessage(role="user", content="Hello")
    model = index(servers, "says", max_tokens=50)
    must(model.chat([message]).message.content == SAYS, "chat")
    must("".join(one.delta for one in model.stream_chat([message])) == SAYS, "stream_chat")
    must(model.complete("Hello").text == SAYS, "complete by chat")
    plain = index(servers, "says", is_chat_model=False, max_tokens=50)
    must(plain.complete("Hello").text == SAYS, "complete")
    must("".join(one.delta for one in plain.stream_complete("Hello")) == SAYS, "stream_complete")

    async def ask() -> None:
        must((await model.achat([message])).message.content == SAYS, "achat")
        parts = [one.delta async for one in await model.astream_chat([message])]
        must("".join(parts) == SAYS, "astream_chat")
        must((await plain.acomplete("Hello")).text == SAYS, "acomplete")

    asyncio.run(ask())


def index_tools(servers: Servers) -> None:
    """Calls of tools, predicted structures, and an agent that calls a tool."""
    tool = package("llama_index.core.tools", "llama-index-core").FunctionTool.from_defaults(weather, fn_schema=place())
    for name, must_call in (("calls", False), ("wild", True)):
        model = index(servers, name, max_tokens=MAX)
        made = model.chat_with_tools([tool], user_msg="Hello", tool_required=must_call, allow_parallel_tool_calls=False)
        [call] = model.get_tool_calls_from_response(made)
        must(call.tool_name == "weather" and isinstance(call.tool_kwargs["city"], str), call)
    prompts = import_module("llama_index.core.prompts")
    made = index(servers, "wild", max_tokens=3 * MAX).structured_predict(person(), prompts.PromptTemplate("Hello"))
    must(isinstance(made, person().__class__) or made.age is not None, made)
    agents = import_module("llama_index.core.agent.workflow")

    async def run() -> list[str]:
        called: list[str] = []

        def note(city: str) -> str:
            called.append(city)
            return weather(city)

        noted = import_module("llama_index.core.tools").FunctionTool.from_defaults(
            note, name="weather", return_direct=True
        )
        agent = agents.FunctionAgent(tools=[noted], llm=index(servers, "calls", max_tokens=MAX))
        await agent.run("Hello")
        return called

    must(asyncio.run(run()) == ["Oslo"], "the agent called nothing")


def hub_chat(servers: Servers) -> None:
    """Answers, streams, tools and JSON of Hugging Face's client."""
    client = package("huggingface_hub", "huggingface_hub").InferenceClient(base_url=base(servers), api_key="any")
    made = client.chat_completion(USER, model="says", logprobs=True, top_logprobs=1)
    must(made.choices[0].message.content == SAYS and made.usage.total_tokens > 0, made)
    chunks = list(client.chat_completion(USER, model="says", stream=True, stream_options={"include_usage": True}))
    must("".join(one.delta.content or "" for chunk in chunks for one in chunk.choices) == SAYS, chunks)
    for model, choice in (("calls", "auto"), ("wild", "required"), ("wild", {"function": {"name": "weather"}})):
        made = client.chat_completion(USER, model=model, tools=TOOLS, tool_choice=choice, max_tokens=MAX)
        must(made.choices[0].message.tool_calls[0].function.name == "weather", made)
    form = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": person().model_json_schema(), "strict": True},
    }
    made = client.chat_completion(USER, model="wild", response_format=form, max_tokens=3 * MAX)
    must({*json.loads(made.choices[0].message.content)} == {*ADA}, made)
    must(client.chat.completions.create(messages=USER, model="says").choices[0].message.content == SAYS, "its alias")


CHECKS: Sequence[Check] = (
    Check("langchain-openai", "ChatOpenAI", "/v1/chat/completions", langchain_chat),
    Check("langchain-openai", "tools", "/v1/chat/completions", langchain_tools),
    Check("langchain-openai", "structured answers", "/v1/chat/completions", langchain_structured),
    Check("llama-index-llms-openai-like", "OpenAILike", "/v1/chat/completions", index_chat),
    Check("llama-index-llms-openai-like", "tools", "/v1/chat/completions", index_tools),
    Check("huggingface_hub", "chat_completion", "/v1/chat/completions", hub_chat),
)
