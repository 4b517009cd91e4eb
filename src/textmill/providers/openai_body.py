"""Conversations, prompts and their options as the JSON bodies of OpenAI's protocol; only what is set goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import orjson

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Format,
    GenerateOptions,
    Message,
    Named,
    Sampling,
    Tool,
)
from textmill.errors import InvalidInput, WrongTask
from textmill.providers.openai_speech import Speech

_MEANINGLESS: Mapping[str, tuple[Any, ...]] = {
    "min_p": (0,),
    "typical_p": (0, 1),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repeat_penalty": (0, 1),
    "mirostat": (0,),
    "n_keep": (0,),
    "ignore_eos": (False,),
}
"""Values that are the same as none, so that a server without the field still does what is asked."""
_BESIDE = {"repeat_last_n": "repeat_penalty", "mirostat_tau": "mirostat", "mirostat_eta": "mirostat"}
"""Fields that mean nothing without another."""


def chat_body(model: str, messages: Sequence[Message], options: ChatOptions, speech: Speech) -> dict[str, Any]:
    """The body for ``/chat/completions``. Raises InvalidInput for what the server lacks."""
    body = _shared(model, options, speech)
    body["messages"] = [_message(each, speech) for each in messages]
    if options.max_tokens is not None:
        body[speech.limit] = options.max_tokens
    if options.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, options.logprobs)}  # llama.cpp takes 0 for none
    if options.tools:
        body |= _tools(options, speech)
    if options.format is not None:
        body |= _chat_format(options.format, speech)
    return body | _thinking(options, speech)


def complete_body(model: str, prompt: str | Sequence[int], options: CompleteOptions, speech: Speech) -> dict[str, Any]:
    """The body for ``/completions``. Raises InvalidInput for what the server lacks, WrongTask where it is all of it."""
    if not speech.prompts:
        msg = f"{speech.name} continues conversations only; ask for a chat completion"
        raise WrongTask(msg)
    if not isinstance(prompt, str) and not speech.ids:
        raise _lacks(speech, "prompts of token ids", "prompt")
    body = _shared(model, options, speech)
    body["prompt"] = prompt if isinstance(prompt, str) else [int(each) for each in prompt]
    if options.max_tokens is not None or speech.unlimited:
        body["max_tokens"] = options.max_tokens
    if options.logprobs is not None:
        body["logprobs"] = max(1, options.logprobs)
    if options.suffix is not None:
        if not speech.suffix:
            raise _lacks(speech, "a text behind what it writes", "suffix")
        body["suffix"] = options.suffix
    if options.format is not None:
        body |= _prompt_format(options.format, speech)
    return body


def _shared(model: str, options: GenerateOptions, speech: Speech) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model} if model else {}
    body |= {"stream": True, **speech.more, **_sampled(options.sampling, speech)}
    if speech.usage_option:
        body["stream_options"] = {"include_usage": True}
    if options.n > 1 and speech.many:
        body["n"] = options.n
    if options.stop:
        body["stop"] = list(options.stop)
    if options.logprobs is not None and not speech.logprobs:
        raise _lacks(speech, "log-probabilities", "logprobs")
    return body


def _sampled(sampling: Sampling, speech: Speech) -> dict[str, Any]:
    """The sampling fields that are set, by the server's names for them."""
    body: dict[str, Any] = {}
    for each in fields(sampling):
        value = getattr(sampling, each.name)
        if value is None or (each.name == "seed" and value < 0):
            continue
        if each.name in speech.sampling:
            if each.name == "logit_bias":
                value = {str(id_): bias for id_, bias in value.items()}
            if value != {} and not (each.name == "repeat_penalty" and value == 0):
                body[speech.sampling[each.name]] = value
        elif not _means_nothing(each.name, value, sampling):
            raise _lacks(speech, each.name, each.name)
    return body


def _means_nothing(name: str, value: Any, sampling: Sampling) -> bool:
    if name == "top_k":
        return bool(value <= 0)
    if name in _BESIDE:
        beside = getattr(sampling, _BESIDE[name])
        return beside is None or beside in _MEANINGLESS[_BESIDE[name]]
    return not value if name == "logit_bias" else value in _MEANINGLESS.get(name, ())


def _message(message: Message, speech: Speech) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None and (speech.names or message.role == "tool"):
        body["name"] = message.name
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in message.tool_calls
        ]
    if message.reasoning and speech.reasoning_key:
        body[speech.reasoning_key] = message.reasoning
    return body


def _tools(options: ChatOptions, speech: Speech) -> dict[str, Any]:
    tools, choice = options.tools, options.tool_choice
    body: dict[str, Any] = {}
    if isinstance(choice, Named):
        if all(each.name != choice.name for each in tools):
            msg = f"tool_choice names {choice.name!r}, which is none of the tools"
            raise InvalidInput(msg, param="tool_choice")
        if speech.named_tool:
            body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
        else:  # the only tool that is there is the one to call
            tools = tuple(each for each in tools if each.name == choice.name)
            body["tool_choice"] = "required"
    elif choice != "auto":
        body["tool_choice"] = choice
    if not options.parallel_tool_calls:
        body["parallel_tool_calls"] = False
    return {"tools": [_tool(each) for each in tools], **body}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _chat_format(wanted: Format, speech: Speech) -> dict[str, Any]:
    return _grammar(wanted.text, speech) if wanted.kind == "grammar" else {"response_format": _response_format(wanted)}


def _prompt_format(wanted: Format, speech: Speech) -> dict[str, Any]:
    if wanted.kind == "grammar":
        return _grammar(wanted.text, speech)
    if speech.prompt_format == "llama.cpp":
        return {"json_schema": _schema(wanted) if wanted.kind == "json_schema" else {"type": "object"}}
    if not speech.prompt_format:
        raise _lacks(speech, "a format of what comes behind a prompt", "response_format")
    return {"response_format": _response_format(wanted)}


def _response_format(wanted: Format) -> dict[str, Any]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    schema = {"name": "answer", "schema": _schema(wanted), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _schema(wanted: Format) -> Any:
    try:
        return orjson.loads(wanted.text)
    except orjson.JSONDecodeError as error:
        msg = f"the schema of the format is no JSON: {error}"
        raise InvalidInput(msg, param="response_format") from None


def _grammar(text: str, speech: Speech) -> dict[str, Any]:
    if speech.grammar == "llama.cpp":
        return {"grammar": text}
    if (
        speech.grammar == "vllm"
    ):  # the first is its name since 0.11, the second the one before; each passes over the other
        return {"structured_outputs": {"grammar": text}, "guided_grammar": text}
    raise _lacks(speech, "grammars", "grammar")


def _thinking(options: ChatOptions, speech: Speech) -> dict[str, Any]:
    """Variables of the template and the effort."""
    given, effort = dict(options.template_kwargs), options.reasoning_effort
    if not speech.template_kwargs:
        if given:
            raise _lacks(speech, "variables of a chat template", "chat_template_kwargs")
        return {} if effort is None else {"reasoning_effort": effort}
    body: dict[str, Any] = {}
    if effort == "none":
        given.setdefault("enable_thinking", False)
    elif effort is not None:  # templates have it as a variable, vLLM also for models whose format it knows itself
        given.setdefault("reasoning_effort", effort)
        body["reasoning_effort"] = effort
    return {**body, "chat_template_kwargs": given} if given else body


def _lacks(speech: Speech, what: str, param: str) -> InvalidInput:
    return InvalidInput(f"{speech.name} does not take {what}; leave it out", param=param)
