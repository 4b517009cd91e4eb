"""What goes out for conversations and prompts, for each kind of server."""

from __future__ import annotations

from typing import Any

import pytest

from textmill.contract import ChatOptions, CompleteOptions, Format, Message, Named, Sampling, Tool, ToolCall
from textmill.errors import InvalidInput, WrongTask
from textmill.providers.openai_body import chat_body, complete_body
from textmill.providers.openai_speech import COMPATIBLE, LLAMA_CPP, MISTRAL, OLLAMA, OPENAI, VLLM, Speech

ASKED = [Message(role="user", content="hi")]
BARE = {"stream": True, "stream_options": {"include_usage": True}, "messages": [{"role": "user", "content": "hi"}]}
SPEECHES = (COMPATIBLE, LLAMA_CPP, MISTRAL, OLLAMA, OPENAI, VLLM)
F = Tool(name="f", description="does", parameters={"type": "object"}, strict=True)
G = Tool(name="g")


def chat(speech: Speech, **options: Any) -> dict[str, Any]:
    return chat_body("m", ASKED, ChatOptions(**options), speech)


def complete(speech: Speech, prompt: Any = "T", **options: Any) -> dict[str, Any]:
    return complete_body("m", prompt, CompleteOptions(**options), speech)


def test_only_what_is_set_goes_out() -> None:
    assert chat(COMPATIBLE) == {"model": "m", **BARE}
    assert chat_body("", ASKED, ChatOptions(), COMPATIBLE) == BARE
    assert chat(LLAMA_CPP) == {"model": "m", "cache_prompt": True, **BARE}
    assert chat(MISTRAL) == {"model": "m", "stream": True, "messages": BARE["messages"]}


def test_a_conversation_keeps_calls_and_their_answers() -> None:
    said = [
        Message(role="system", content="be kind", name="boss"),
        Message(role="assistant", tool_calls=(ToolCall("c1", "f", '{"a":1}'),), reasoning="hm"),
        Message(role="tool", content="4", tool_call_id="c1"),
    ]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    system, assistant, tool = chat_body("m", said, ChatOptions(), LLAMA_CPP)["messages"]
    assert system == {"role": "system", "content": "be kind", "name": "boss"}
    assert assistant == {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm"}
    assert tool == {"role": "tool", "content": "4", "tool_call_id": "c1"}
    assert "reasoning_content" not in chat_body("m", said, ChatOptions(), OPENAI)["messages"][1]
    assert "name" not in chat_body("m", said, ChatOptions(), MISTRAL)["messages"][0]


def test_sampling_has_each_servers_names() -> None:
    everything = Sampling(
        temperature=0, top_p=0.5, top_k=4, min_p=0.1, typical_p=0.9, seed=7, presence_penalty=0.1, frequency_penalty=0.2,
        repeat_penalty=1.1, repeat_last_n=9, mirostat=2, mirostat_tau=4.0, mirostat_eta=0.2, n_keep=3, ignore_eos=True,
        logit_bias={5: -100.0},
    )  # fmt: skip
    body = chat(LLAMA_CPP, sampling=everything)
    assert body["logit_bias"] == {"5": -100.0}
    assert {name: body[name] for name in ("temperature", "top_k", "mirostat_tau", "n_keep", "ignore_eos")} == {
        "temperature": 0,
        "top_k": 4,
        "mirostat_tau": 4.0,
        "n_keep": 3,
        "ignore_eos": True,
    }
    assert chat(VLLM, sampling=Sampling(repeat_penalty=1.1))["repetition_penalty"] == 1.1
    assert chat(MISTRAL, sampling=Sampling(seed=7))["random_seed"] == 7


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_values_that_mean_nothing_are_left_out_where_a_server_lacks_them(speech: Speech) -> None:
    nothing = Sampling(
        seed=-1, top_k=0, min_p=0, typical_p=1, repeat_penalty=0, repeat_last_n=64, mirostat=0, mirostat_tau=5, n_keep=0,
        ignore_eos=False, presence_penalty=0, frequency_penalty=0,
    )  # fmt: skip
    body = chat(speech, sampling=nothing)
    assert not {"seed", "random_seed", "repeat_penalty", "repetition_penalty", "logit_bias"} & set(body)


@pytest.mark.parametrize("name", ["top_k", "min_p", "repeat_penalty", "mirostat"])
def test_what_a_server_lacks_is_refused_by_its_name(name: str) -> None:
    given: Any = {name: 2}
    with pytest.raises(InvalidInput, match=f"OpenAI does not take {name}") as raised:
        chat(OPENAI, sampling=Sampling(**given))
    assert raised.value.param == name


def test_limits_have_each_servers_name() -> None:
    assert chat(OPENAI, max_tokens=5)["max_completion_tokens"] == 5
    assert chat(LLAMA_CPP, max_tokens=5)["max_tokens"] == 5
    assert complete(OPENAI, max_tokens=5)["max_tokens"] == 5
    assert "max_tokens" not in complete(COMPATIBLE)
    assert complete(VLLM)["max_tokens"] is None


def test_choices_stop_strings_and_logprobs() -> None:
    body = chat(COMPATIBLE, n=3, stop=("a", "b"), logprobs=0)
    assert (body["n"], body["stop"], body["logprobs"], body["top_logprobs"]) == (3, ["a", "b"], True, 1)
    assert complete(COMPATIBLE, logprobs=4)["logprobs"] == 4
    assert "n" not in chat(OLLAMA, n=3)
    with pytest.raises(InvalidInput, match="Mistral does not take log-probabilities"):
        chat(MISTRAL, logprobs=1)


def test_tools_and_which_to_call() -> None:
    body = chat(COMPATIBLE, tools=(F, G), parallel_tool_calls=False)
    function = {"name": "f", "description": "does", "parameters": {"type": "object"}, "strict": True}
    assert body["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "g"}},
    ]
    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in body
    assert chat(COMPATIBLE, tools=(F,), tool_choice="required")["tool_choice"] == "required"
    assert chat(COMPATIBLE, tools=(F, G), tool_choice=Named("g"))["tool_choice"]["function"] == {"name": "g"}
    named = chat(LLAMA_CPP, tools=(F, G), tool_choice=Named("g"))
    assert (named["tool_choice"], len(named["tools"])) == ("required", 1)
    with pytest.raises(InvalidInput, match="none of the tools"):
        chat(COMPATIBLE, tools=(F,), tool_choice=Named("h"))


def test_formats_of_chats() -> None:
    assert chat(COMPATIBLE, format=Format("json_object"))["response_format"] == {"type": "json_object"}
    schema = chat(LLAMA_CPP, format=Format("json_schema", '{"type":"object"}'))["response_format"]["json_schema"]
    assert schema == {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert chat(LLAMA_CPP, format=Format("grammar", "root ::= x"))["grammar"] == "root ::= x"
    assert chat(VLLM, format=Format("grammar", "root ::= x"))["structured_outputs"] == {"grammar": "root ::= x"}
    with pytest.raises(InvalidInput, match="does not take grammars"):
        chat(OPENAI, format=Format("grammar", "root ::= x"))
    with pytest.raises(InvalidInput, match="no JSON"):
        chat(OPENAI, format=Format("json_schema", "{"))


def test_formats_of_prompts() -> None:
    assert complete(LLAMA_CPP, format=Format("json_object"))["json_schema"] == {"type": "object"}
    assert complete(LLAMA_CPP, format=Format("json_schema", '{"enum":[1]}'))["json_schema"] == {"enum": [1]}
    assert complete(VLLM, format=Format("json_object"))["response_format"] == {"type": "json_object"}
    with pytest.raises(InvalidInput, match="format"):
        complete(OPENAI, format=Format("json_object"))


def test_prompts_are_texts_or_ids() -> None:
    assert complete(COMPATIBLE, [1, 2])["prompt"] == [1, 2]
    assert complete(COMPATIBLE, suffix="z")["suffix"] == "z"
    with pytest.raises(InvalidInput, match="a text behind"):
        complete(LLAMA_CPP, suffix="z")
    with pytest.raises(InvalidInput, match="token ids"):
        complete(OLLAMA, [1, 2])
    with pytest.raises(WrongTask, match="conversations only"):
        complete(MISTRAL)


def test_thinking_is_switched_where_it_can_be() -> None:
    assert chat(LLAMA_CPP, reasoning_effort="none")["chat_template_kwargs"] == {"enable_thinking": False}
    assert chat(VLLM, reasoning_effort="low", template_kwargs={"a": 1})["chat_template_kwargs"] == {
        "a": 1,
        "reasoning_effort": "low",
    }
    assert chat(OPENAI, reasoning_effort="low")["reasoning_effort"] == "low"
    assert "chat_template_kwargs" not in chat(LLAMA_CPP)
    with pytest.raises(InvalidInput, match="chat template"):
        chat(OPENAI, template_kwargs={"a": 1})
