"""Which part of OpenAI's protocol a kind of server understands, and what it adds: one description a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_OPENAI = _same("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """What a kind of server, called ``name`` in errors, takes.

    ``sampling`` are the fields of `textmill.contract.Sampling` that it knows, with their names there. ``limit`` is what the limit of
    tokens is called; ``unlimited`` is sent as it with a prompt that has none, for servers whose own limit is short: a null, where it is
    true. ``grammar`` is how GBNF goes out, empty for not at all, ``prompt_format`` how a format goes with a prompt, which OpenAI has
    for conversations only. ``prompts`` says whether it continues prompts at all, ``ids`` also those of token ids, ``suffix`` with a text
    behind them. ``many`` is whether it takes n, ``named_tool`` whether a tool can be named that has to be called, ``template_kwargs``
    whether it takes variables for the chat template; where it does, an effort of "none" switches thinking off by them.
    ``reasoning_key`` names what was thought before in the messages, empty to leave it out; without ``names`` so are those of who speaks.
    ``usage_option`` is whether it must, and may,
    be asked for usage in streams; ``usage_of_each`` whether each choice tells its own. ``more`` goes with every request.
    """

    name: str
    sampling: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(_OPENAI))
    limit: str = "max_tokens"
    unlimited: bool = False
    grammar: Literal["", "llama.cpp", "vllm"] = ""
    prompt_format: Literal["", "llama.cpp", "response_format"] = ""
    prompts: bool = True
    ids: bool = True
    suffix: bool = True
    many: bool = True
    named_tool: bool = True
    logprobs: bool = True
    template_kwargs: bool = False
    reasoning_key: str = ""
    names: bool = True
    usage_option: bool = True
    usage_of_each: bool = False
    more: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


LLAMA_CPP = Speech(
    name="llama.cpp",
    sampling=MappingProxyType(
        _OPENAI
        | _same(
            *("top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n"),
            *("mirostat", "mirostat_tau", "mirostat_eta", "n_keep", "ignore_eos"),
        )
    ),
    grammar="llama.cpp",
    prompt_format="llama.cpp",
    suffix=False,
    named_tool=False,
    template_kwargs=True,
    reasoning_key="reasoning_content",
    usage_of_each=True,
    more=MappingProxyType({"cache_prompt": True}),
)
"""llama.cpp's own server, as of xllamacpp 0.2."""

VLLM = Speech(
    name="vLLM",
    sampling=MappingProxyType(
        _OPENAI | _same("top_k", "min_p", "ignore_eos") | {"repeat_penalty": "repetition_penalty"}
    ),
    unlimited=True,
    grammar="vllm",
    prompt_format="response_format",
    suffix=False,
    template_kwargs=True,
    reasoning_key="reasoning_content",
)
"""vLLM, and SGLang, whose fields are the same."""

COMPATIBLE = Speech(name="a server of OpenAI's protocol")
"""A server of which nothing else is known."""

OPENAI = replace(COMPATIBLE, name="OpenAI", limit="max_completion_tokens")
"""OpenAI's own, whose reasoning models refuse max_tokens."""

MISTRAL = Speech(
    name="Mistral",
    sampling=MappingProxyType(
        _same("temperature", "top_p", "presence_penalty", "frequency_penalty") | {"seed": "random_seed"}
    ),
    prompts=False,
    logprobs=False,
    names=False,
    usage_option=False,
)
"""Mistral's own, which refuses fields that it does not know, stream_options among them, and tells usage in the last chunk."""

OLLAMA = Speech(
    name="Ollama",
    sampling=MappingProxyType(_same("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")),
    ids=False,
    many=False,
)
"""Ollama's routes below /v1, which pass over n, tool_choice and logit_bias without a word."""
