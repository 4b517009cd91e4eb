from __future__ import annotations

import importlib
import json
import sys

import pytest
from llama_index.core.llms import ChatMessage
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
