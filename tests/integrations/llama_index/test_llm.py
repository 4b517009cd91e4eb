from __future__ import annotations

import asyncio
import importlib
import json
import sys

import pytest
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from tests.integrations.llama_index.conftest import Scripted

import textmill

MESSAGE = {"role": "assistant", "content": "It turns."}
CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
}
CHUNKS = [{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]} for text in ("It ", "turns.")]  # fmt: skip


def test_a_conversation_goes_to_the_chat_route(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_index.llms.textmill import TextmillLLM  # noqa: PLC0415 - an extra

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    streamed = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"
    scripted.script = [
        (200, {"Content-Type": "application/json"}, json.dumps(CHAT).encode()),
        (200, {"Content-Type": "text/event-stream"}, streamed.encode()),
    ]
    llm = TextmillLLM("m", scripted.url, temperature=0.0, max_retries=0)

    assert llm.chat([ChatMessage(content="What does the mill do?")]).message.content == "It turns."
    assert [answer.delta for answer in llm.stream_chat([ChatMessage(content="And?")])] == ["It ", "turns."]

    llm._get_client().close()

    asked = [json.loads(body) for body in scripted.asked]
    assert [(each["model"], each["messages"][0]["content"]) for each in asked] == [
        ("m", "What does the mill do?"),
        ("m", "And?"),
    ]
    assert llm.api_key == "none"
    assert llm.metadata.is_chat_model


JSON = {"Content-Type": "application/json"}


def test_any_number_of_event_loops(scripted: Scripted) -> None:
    from llama_index.llms.textmill import TextmillLLM  # noqa: PLC0415 - an extra

    scripted.script = [(200, JSON, json.dumps(CHAT).encode())] * 6
    llm = TextmillLLM("m", scripted.url, max_retries=0)

    async def ask() -> list[str | None]:
        answers = await asyncio.gather(*(llm.achat([ChatMessage(content="And?")]) for _ in range(2)))
        return [answer.message.content for answer in answers]

    assert [asyncio.run(ask()) for _ in range(3)] == [["It turns."] * 2] * 3


class Mill(BaseModel):
    """Where it is."""

    river: str
    wheels: int = 1


@pytest.mark.parametrize("how", [{}, {"is_function_calling_model": True}])
def test_a_structure_is_asked_for_by_its_schema(how: dict[str, bool], scripted: Scripted) -> None:
    from llama_index.llms.textmill import TextmillLLM  # noqa: PLC0415 - an extra

    made = {**MESSAGE, "content": '{"river": "Aker", "wheels": 2}'}
    answer = {**CHAT, "choices": [{"index": 0, "message": made, "finish_reason": "stop"}]}
    scripted.script = [(200, JSON, json.dumps(answer).encode())]
    llm = TextmillLLM("m", scripted.url, max_retries=0, **how)

    assert llm.structured_predict(Mill, PromptTemplate("Which?")) == Mill(river="Aker", wheels=2)
    llm._get_client().close()

    [asked] = [json.loads(body) for body in scripted.asked]
    form = asked["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Mill", True)
    assert set(form["json_schema"]["schema"]["properties"]) == {"river", "wheels"}
    assert "tool_choice" not in asked


def test_a_dump_has_no_secret() -> None:
    from llama_index.llms.textmill import TextmillLLM  # noqa: PLC0415 - an extra

    llm = TextmillLLM("m", "http://h:1/v1", api_key="sk-one")

    assert llm.api_base == "http://h:1/v1"
    assert TextmillLLM.from_dict(llm.to_dict()).api_base == llm.api_base
    assert "sk-" not in repr(llm) + repr(llm.to_dict())


def test_without_the_extra_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("llama_index.llms.textmill", "llama_index.llms.textmill.chat"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "llama_index.llms.openai_like", None)

    with pytest.raises(textmill.ExtraMissing, match=r"pip install 'llama-index-embeddings-textmill\[llms\]'"):
        importlib.import_module("llama_index.llms.textmill")
