"""What llama.cpp writes within grammars: from a model of seeded weights, which writes anything that it may."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Ended,
    Event,
    Format,
    Message,
    Named,
    Piece,
    Sampling,
    Tool,
)
from textmill.errors import ForwardFailed, InvalidInput
from textmill.folder.scan import scan
from textmill.providers.llamacpp.model import LlamaModel
from textmill.providers.llamacpp.opening import open_llama
from textmill.providers.llamacpp.options import Given
from textmill.testing.gguf_llama import chain_gguf, llama_gguf
from textmill.testing.gguf_templates import CHAT, REASONING, TOOLS
from textmill.testing.gguf_vocabulary import chat_vocabulary

pytestmark = pytest.mark.asyncio(loop_scope="module")  # a model is for one event loop

HI = (Message(role="user", content="hi"),)
WILD = Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=7)
CHOICES = 4
OPENED = REASONING.replace(
    "{{- '<|im_start|>assistant\\n' }}\n{%- if enable_thinking",
    "{{- '<|im_start|>assistant\\n<think>\\n' }}\n{%- if false",
)
"""As REASONING, with thoughts that the template has begun."""


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


FLAG = {"type": "boolean"}
SCHEMAS: Mapping[str, dict[str, Any]] = {
    "object": closed(
        a={"type": "string", "maxLength": 20}, n={"type": "integer", "minimum": -5, "maximum": 120}, ok=FLAG
    ),
    "optional": {"type": "object", "properties": {"a": FLAG, "b": {"type": "null"}, "c": {"enum": ["x", 3, None]}}},
    "array": {"type": "array", "items": {"enum": ["red", "green"]}, "minItems": 1, "maxItems": 4},
    "nested": closed(p=closed(q={"type": "array", "items": closed(r=FLAG), "maxItems": 3})),
    "recursive": {
        "$defs": {
            "Node": closed(
                v={"type": "integer", "minimum": 0, "maximum": 9}, next={"anyOf": [{"$ref": "#/$defs/Node"}, FLAG]}
            )
        },
        "$ref": "#/$defs/Node",
    },
    "anyOf": {"anyOf": [closed(kind={"const": "a"}, x={"type": "number"}), closed(kind={"const": "b"}, y=FLAG)]},
    "allOf": {"allOf": [{"type": "object", "properties": {"a": FLAG}, "required": ["a"]}, closed(a=FLAG, b=FLAG)]},
    "pattern": closed(id={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"}),
    "unanchored": closed(id={"type": "string", "pattern": "[0-9]{3}", "maxLength": 12}),
    "formats": closed(d={"type": "string", "format": "date"}, u={"type": "string", "format": "uuid"}),
    "ranges": closed(
        a={"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 13},
        b={"type": "number", "minimum": 0, "maximum": 1},
        c={"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 50},
    ),
    "tuple": {"type": "array", "prefixItems": [FLAG, {"enum": [1, 2]}], "items": False, "minItems": 2},
    "names": closed(**{"größe": {"enum": ["klein", "日本"]}, 'q"uote': FLAG}),
    "open": {"type": "object", "properties": {"a": FLAG}, "required": ["a"]},
    "remarks": closed(
        p={"type": "string", "format": "password", "maxLength": 9, "title": "p", "default": {"format": "x"}}
    ),
}
TOOLBOX = (
    Tool(
        name="weather",
        parameters=closed(
            city={"type": "string", "maxLength": 12}, days={"type": "integer", "maximum": 9, "minimum": 1}
        ),
    ),
    Tool(
        name="paint",
        parameters=closed(at=closed(x=FLAG, tags={"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2})),
    ),
    Tool(name="stop"),
)
THINK_END = chat_vocabulary().tokens.index("</think>")
Open = Callable[[Path], LlamaModel]


@pytest.fixture(scope="module")
def open_one() -> Iterator[Open]:
    """Opens a file, with room for as many choices as are asked for."""
    made: list[LlamaModel] = []

    def opened(weights: Path) -> LlamaModel:
        (weights.parent / "it.yaml").write_text(
            f"name: it\ncontext_size: 16384\nparameters: {{model: {weights.name}}}\n"
        )
        file = scan(weights.parent).find("it")
        assert file is not None
        made.append(open_llama(file, weights.parent, Given(threads=1), dict(os.environ)))  # noqa: TID251 - as the server would
        return made[-1]

    yield opened
    for model in made:
        model.close(0.0)


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory, open_one: Open) -> LlamaModel:
    return open_one(llama_gguf(tmp_path_factory.mktemp("wild") / "it.gguf", context=16384, template=TOOLS))


async def opened(open_one: Open, weights: Path) -> LlamaModel:
    return await asyncio.to_thread(open_one, weights)


async def answers(events: AsyncGenerator[Event, None]) -> list[dict[str, Any]]:
    """The text, thoughts, calls and end of each choice."""
    made: dict[int, dict[str, Any]] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece):
                one = made.setdefault(event.choice, {"text": "", "thoughts": "", "calls": {}, "end": ""})
                one["text"] += event.text
                one["thoughts"] += event.reasoning
                for call in event.calls:
                    name, arguments = one["calls"].get(call.index, ("", ""))
                    one["calls"][call.index] = (name or call.name, arguments + call.arguments)
            elif isinstance(event, Ended):
                made[event.choice]["end"] = event.reason
    return [made[choice] for choice in sorted(made)]


def schema_of(name: str) -> Format:
    return Format("json_schema", json.dumps(SCHEMAS[name]))


def check(text: str, schema: Mapping[str, Any]) -> None:
    kind = jsonschema.Draft202012Validator
    kind(schema, format_checker=kind.FORMAT_CHECKER).validate(json.loads(text))


@pytest.mark.parametrize("name", SCHEMAS)
async def test_answers_of_a_conversation_fit_their_schema(wild: LlamaModel, name: str) -> None:
    options = ChatOptions(n=CHOICES, max_tokens=1500, sampling=WILD, format=schema_of(name))
    made = await answers(wild.chat(HI, options))
    assert [one["end"] for one in made] == ["stop"] * CHOICES
    for one in made:
        check(one["text"], SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
async def test_answers_to_a_prompt_fit_their_schema(wild: LlamaModel, name: str) -> None:
    options = CompleteOptions(n=CHOICES, max_tokens=1500, sampling=WILD, format=schema_of(name))
    made = await answers(wild.complete("hi", options))
    assert [one["end"] for one in made] == ["stop"] * CHOICES
    for one in made:
        check(one["text"], SCHEMAS[name])


async def test_any_object_is_json_unless_the_limit_cuts_it(wild: LlamaModel) -> None:
    for one in await answers(
        wild.chat(HI, ChatOptions(n=CHOICES, max_tokens=900, sampling=WILD, format=Format("json_object")))
    ):
        assert one["end"] == "length" or isinstance(json.loads(one["text"]), dict)


async def test_a_limit_is_told_of(wild: LlamaModel) -> None:
    long = Format("json_schema", json.dumps(closed(a={"type": "string", "minLength": 90})))
    [made] = await answers(wild.chat(HI, ChatOptions(max_tokens=20, sampling=WILD, format=long)))
    assert made["end"] == "length"


@pytest.mark.parametrize("template", [TOOLS, CHAT, None], ids=["hermes", "told", "none"])
@pytest.mark.parametrize("several", [False, True])
async def test_required_calls_fit_their_tools(
    tmp_path: Path, open_one: Open, template: str | None, *, several: bool
) -> None:
    model = await opened(open_one, llama_gguf(tmp_path / "it.gguf", context=16384, template=template))
    options = ChatOptions(n=CHOICES, max_tokens=2000, sampling=WILD, tools=TOOLBOX, tool_choice="required")
    options = replace(options, parallel_tool_calls=several)
    for one in await answers(model.chat(HI, options)):
        assert one["end"] == "tool_calls" or (several and one["end"] == "length")
        assert not one["text"]
        assert several or len(one["calls"]) == 1
        if one["end"] == "tool_calls":
            for name, arguments in one["calls"].values():
                schema = next(tool.parameters for tool in TOOLBOX if tool.name == name)
                check(arguments, schema or {"const": {}})


@pytest.mark.parametrize("choice", ["auto", "none"])
async def test_with_tools_a_grammar_is_kept_to_that_is_no_json(
    wild: LlamaModel, choice: Literal["auto", "none"]
) -> None:
    wanted = Format("grammar", 'root ::= "yes, " ("it is" | "indeed") "."')
    options = ChatOptions(max_tokens=90, sampling=WILD, tools=TOOLBOX, tool_choice=choice, format=wanted)
    [made] = await answers(wild.chat(HI, options))
    assert made["text"] in {"yes, it is.", "yes, indeed."}
    assert made["end"] == "stop"


async def test_an_answer_beside_strict_tools_is_any_text(tmp_path: Path, open_one: Open) -> None:
    """It ends with the model's own end, whichever token llama.cpp takes for the end of a turn."""
    model = await opened(open_one, chain_gguf(tmp_path / "it.gguf", "It rains all day.", template=None))
    tools = tuple(replace(tool, strict=True) for tool in TOOLBOX)
    [made] = await answers(model.chat(HI, ChatOptions(max_tokens=60, tools=tools)))
    assert made["text"] == "It rains all day."
    assert made["end"] == "stop"


async def test_text_within_an_open_grammar_ends_as_the_model_ends(tmp_path: Path, open_one: Open) -> None:
    model = await opened(open_one, chain_gguf(tmp_path / "it.gguf", "It rains all day.", template=TOOLS))
    wanted = Format("grammar", "root ::= [A-Za-z .]*")
    [made] = await answers(model.chat(HI, ChatOptions(max_tokens=90, tools=TOOLBOX, format=wanted)))
    assert (made["text"], made["end"]) == ("It rains all day.", "stop")


async def test_json_that_may_go_on_ends_as_the_model_ends(tmp_path: Path, open_one: Open) -> None:
    model = await opened(open_one, chain_gguf(tmp_path / "it.gguf", "31415926", template=TOOLS))
    wanted = Format("json_schema", '{"type": "integer"}')
    [chat] = await answers(model.chat(HI, ChatOptions(max_tokens=90, format=wanted)))
    [text] = await answers(model.complete("hi", CompleteOptions(max_tokens=90, format=wanted)))
    assert [(each["text"], each["end"]) for each in (chat, text)] == [("31415926", "stop")] * 2


async def test_the_named_tool_is_called(wild: LlamaModel) -> None:
    options = ChatOptions(n=CHOICES, max_tokens=900, sampling=WILD, tools=TOOLBOX, tool_choice=Named("paint"))
    for one in await answers(wild.chat(HI, options)):
        [(name, arguments)] = one["calls"].values()
        assert name == "paint"
        check(arguments, TOOLBOX[1].parameters or {})


async def test_with_tools_an_answer_is_a_call_or_what_it_has_to_be(wild: LlamaModel) -> None:
    options = ChatOptions(n=CHOICES, max_tokens=1500, sampling=WILD, tools=TOOLBOX, format=schema_of("array"))
    options = replace(options, parallel_tool_calls=False)
    for one in await answers(wild.chat(HI, options)):
        if one["calls"]:
            assert not one["text"]
        else:
            check(one["text"], SCHEMAS["array"])


@pytest.mark.parametrize(("template", "begin"), [(REASONING, "<think>\n"), (OPENED, "")], ids=["begins", "begun"])
async def test_thoughts_come_before_what_is_bound(tmp_path: Path, open_one: Open, template: str, begin: str) -> None:
    text = begin + 'What drives it?\n</think>\n\n{"a": true}'
    model = await opened(open_one, chain_gguf(tmp_path / "it.gguf", text, template=template))
    [made] = await answers(
        model.chat(HI, ChatOptions(max_tokens=100, format=Format("json_schema", json.dumps(closed(a=FLAG)))))
    )
    assert made["thoughts"].strip() == "What drives it?"
    assert json.loads(made["text"]) == {"a": True}
    assert made["end"] == "stop"


async def test_rules_of_a_grammar_may_have_any_names(tmp_path: Path, open_one: Open) -> None:
    model = await opened(open_one, llama_gguf(tmp_path / "it.gguf", template=OPENED))
    text = 'root ::= answer\nanswer ::= thoughts | "a"\nthoughts ::= "(" answer ")" | "b"'
    options = ChatOptions(
        max_tokens=900,
        sampling=Sampling(logit_bias={THINK_END: 100.0}),
        tools=TOOLBOX,
        format=Format("grammar", text),
    )
    [made] = await answers(model.chat(HI, options))
    assert made["text"].strip("()") in {"a", "b"}


async def test_no_thoughts_come_where_they_are_switched_off(tmp_path: Path, open_one: Open) -> None:
    weights = chain_gguf(
        tmp_path / "it.gguf", "<think>\nWhat drives it?\n</think>\n\nWater, it is.", template=REASONING
    )
    model = await opened(open_one, weights)
    options = ChatOptions(
        max_tokens=100, format=Format("json_schema", json.dumps(closed(a=FLAG))), reasoning_effort="none"
    )
    [made] = await answers(model.chat(HI, options))
    assert not made["thoughts"]
    check(made["text"], closed(a=FLAG))


async def test_a_schema_that_nobody_can_keep_to_is_refused(wild: LlamaModel) -> None:
    wanted = Format("json_schema", json.dumps({"type": "array", "items": FLAG, "uniqueItems": True}))
    with pytest.raises(InvalidInput, match="uniqueItems"):
        await answers(wild.chat(HI, ChatOptions(format=wanted)))
    with pytest.raises(InvalidInput, match="uniqueItems"):
        await answers(wild.complete("hi", CompleteOptions(format=wanted)))


async def test_where_llama_cpps_grammar_fails_nothing_else_passes_for_json(tmp_path: Path, open_one: Open) -> None:
    """A vocabulary one short of a multiple of 32 makes llguidance fail within a text, and llama.cpp goes on freely."""
    model = await opened(
        open_one, chain_gguf(tmp_path / "it.gguf", "<think>\nWhat drives it?\n</think>\n\nWater does.")
    )
    assert model.info.vocabulary % 32 == 31
    with pytest.raises(ForwardFailed, match="did not keep to JSON"):
        await answers(model.complete("hi", CompleteOptions(max_tokens=90, format=schema_of("pattern"))))
