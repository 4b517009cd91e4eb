from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.providers.writing import chat, complete, opened

from textmill.contract import Format, Message, Named, Sampling, Tool, ToolCall
from textmill.errors import ForwardFailed, InvalidInput
from textmill.providers.causal import CausalModel
from textmill.testing.causal import CHAT, saying_writer, tiny_writer

WEATHER = Tool(
    name="weather",
    description="Tells the weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CLOCK = Tool(name="clock")
CALLED = '<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
HOT = Sampling(temperature=1.5, top_p=1.0, seed=1)
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["mill", "house"]},
        "sizes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
        "open": {"type": "boolean"},
    },
    "required": ["kind", "sizes", "open"],
    "additionalProperties": False,
}


def saying(folder: Path, text: str, **options: Any) -> CausalModel:
    return opened(saying_writer(folder / "m", text, context=1024, **options))


async def test_the_template_writes_the_conversation(tmp_path: Path) -> None:
    model = saying(tmp_path, "fine thanks")
    messages = (
        Message(role="system", content="be kind"),
        Message(role="user", content="weather?"),
        Message(role="assistant", tool_calls=(ToolCall("c1", "weather", '{"city": "Köln"}'),)),
        Message(role="tool", content="rain", tool_call_id="c1"),
    )
    text = (
        '<|im_start|>system\n# Tools\n[{"type": "function", "function": {"name": "clock", "description": "", "parameters": '
        '{"type": "object", "properties": {}}}}]<|im_end|>\n<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nweather?'
        '<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "weather", "arguments": {"city": "Köln"}}\n</tool_call>'
        "<|im_end|>\n<|im_start|>tool\nrain<|im_end|>\n<|im_start|>assistant\n"
    )

    wrote = await chat(model, *messages, tools=(CLOCK,))
    model.close()

    assert wrote.text == "fine thanks"
    assert wrote.spent is not None
    assert wrote.spent.prompt_tokens == len(model._words.encode(text, special_tokens=False))


async def test_what_a_template_refuses_is_the_callers_mistake(tmp_path: Path) -> None:
    model = saying(tmp_path, "never")
    bare = opened(saying_writer(tmp_path / "bare", "never", template=None))

    for role, values in (("judge", {}), ("user", {"chat_template": "{{ 1 }}"}), ("user", {"tokenize": True})):
        with pytest.raises(InvalidInput, match=r"no such role|may not have"):
            await chat(model, Message(role=role), template_kwargs=values)
    with pytest.raises(InvalidInput, match=r"chat_template\.jinja"):
        await chat(bare, "hi")
    assert (await complete(bare, "hi")).text == "never"
    model.close()
    bare.close()


async def test_what_is_nested_too_deep_is_the_callers_mistake(tmp_path: Path) -> None:
    model = saying(tmp_path, "never")

    for depth in (600, 800):  # JSON is read to such a depth, and not written
        call = ToolCall("1", "weather", '{"a":' * depth + "1" + "}" * depth)
        with pytest.raises(InvalidInput):
            await chat(model, Message(role="assistant", tool_calls=(call,)))
    with pytest.raises(InvalidInput, match="no JSON"):
        await chat(model, "hi", format=Format("json_schema", '{"a":' * 100_000))
    assert (await chat(model, "hi")).text == "never"
    model.close()


async def test_a_template_cannot_reach_the_machine(tmp_path: Path) -> None:
    model = saying(tmp_path, "never", template="{{ messages.__class__.__mro__[1].__subclasses__() }}")

    with pytest.raises(InvalidInput, match="template"):
        await chat(model, "hi")
    model.close()


async def test_a_call_is_told_of_as_it_comes(tmp_path: Path) -> None:
    model = saying(tmp_path, f"Let me see. {CALLED}")
    wrote = await chat(model, "weather?", tools=(WEATHER, CLOCK))
    plain = await chat(model, "weather?")
    never = await chat(model, "weather?", tools=(WEATHER,), tool_choice="none")
    model.close()

    assert wrote.text == "Let me see. "
    assert wrote.calls == {0: ["weather", '{"city": "Köln"}']}
    assert wrote.ended is not None
    assert wrote.ended.reason == "tool_calls"
    assert wrote.pieces > 6
    for each in (plain, never):
        assert each.text == f"Let me see. {CALLED}"
        assert each.ended is not None
        assert each.ended.reason == "stop"


async def test_a_call_whose_name_is_no_json_is_content(tmp_path: Path) -> None:
    model = saying(tmp_path, r'<tool_call>{"name": "a\qb", "arguments": {}}</tool_call>')
    wrote = await chat(model, "weather?", tools=(WEATHER,))
    again = await chat(model, "weather?", tools=(WEATHER,))
    model.close()

    assert wrote.text == again.text == r'{"name": "a\qb", "arguments": {}}'
    assert wrote.calls == {}


async def test_several_calls_or_one(tmp_path: Path) -> None:
    second = '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>'
    model = saying(tmp_path, f"{CALLED}\n{second}")
    both = await chat(model, "weather?", tools=(WEATHER, CLOCK))
    one = await chat(model, "weather?", tools=(WEATHER, CLOCK), parallel_tool_calls=False)
    model.close()

    assert both.calls == {0: ["weather", '{"city": "Köln"}'], 1: ["clock", "{}"]}
    assert one.calls == {0: ["weather", '{"city": "Köln"}']}
    assert (both.text, one.text) == ("", "")


@pytest.mark.parametrize(
    ("template", "special", "text"),
    [
        ("[TOOL_CALLS] {{ tools }} {{ messages[0].content }}", ("[TOOL_CALLS]",),
         '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Köln"}}]'),
        ("[TOOL_CALLS][ARGS] {{ tools }} {{ messages[0].content }}", ("[TOOL_CALLS]", "[ARGS]"),
         '[TOOL_CALLS]weather[ARGS]{"city": "Köln"}'),
        ("{{ tools }} {{ messages[0].content }}", (), '{"name": "weather", "parameters": {"city": "Köln"}}'),
    ],
)  # fmt: skip
async def test_calls_in_other_manners(template: str, special: tuple[str, ...], text: str, tmp_path: Path) -> None:
    """The marks are single special tokens in such vocabularies, which are no text otherwise."""
    model = saying(tmp_path, text, template=template, special=special)
    wrote = await chat(model, "weather?", tools=(WEATHER,))
    must = await chat(model, "weather?", tools=(WEATHER, CLOCK), tool_choice=Named("weather"))
    model.close()

    assert wrote.text == ""
    assert wrote.calls == {0: ["weather", '{"city": "Köln"}']}
    assert [each[0] for each in must.calls.values()] == ["weather"]
    assert set(json.loads(must.calls[0][1])) == {"city"}


async def test_a_model_whose_template_knows_no_tools_is_told_of_them(tmp_path: Path) -> None:
    model = saying(tmp_path, CALLED, template="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    wrote = await chat(model, "weather?", tools=(WEATHER,))
    without = await chat(model, "weather?")
    model.close()

    assert wrote.calls == {0: ["weather", '{"city": "Köln"}']}
    assert wrote.spent is not None
    assert without.spent is not None
    assert wrote.spent.prompt_tokens > without.spent.prompt_tokens + 100


async def test_reasoning_is_told_apart(tmp_path: Path) -> None:
    model = saying(tmp_path, "<think>\nWell, hmm.</think>\n\nIt rains.")
    opening = opened(saying_writer(tmp_path / "o", "Well, hmm.</think>\n\nIt rains.", template=CHAT))
    wrote = await chat(model, "weather?")
    within = await chat(opening, "weather?", template_kwargs={"thinking": True})
    without = await chat(opening, "weather?")
    model.close()
    opening.close()

    assert (wrote.reasoning, wrote.text) == ("Well, hmm.", "It rains.")
    assert (within.reasoning, within.text) == ("Well, hmm.", "It rains.")
    assert (without.reasoning, without.text) == ("", "Well, hmm.</think>\n\nIt rains.")


async def test_json_of_a_schema_always_fits(tmp_path: Path) -> None:
    model = opened(tiny_writer(tmp_path / "m", context=1024))
    wanted = Format("json_schema", json.dumps(SCHEMA))

    for seed in range(20):
        wrote = await chat(model, "json!", format=wanted, sampling=Sampling(temperature=1.5, top_p=1.0, seed=seed))
        made = json.loads(wrote.text)
        assert set(made) == {"kind", "sizes", "open"}
        assert made["kind"] in ("mill", "house")
        assert all(0 <= size <= 99 for size in made["sizes"])
        assert wrote.ended is not None
        assert wrote.ended.reason == "stop"
    some = await chat(model, "json!", format=Format("json_object"), sampling=HOT, max_tokens=900)
    model.close()
    assert some.text.startswith("{")


async def test_a_grammar_is_kept_to_and_a_wrong_one_refused(tmp_path: Path) -> None:
    model = opened(tiny_writer(tmp_path / "m"))
    wrote = await complete(model, "x", format=Format("grammar", 'root ::= ("ja" | "nein") "!"'), sampling=HOT)
    assert wrote.text in ("ja!", "nein!")

    for kind, text in (
        ("grammar", "root ::= ("),
        ("json_schema", "{"),
        ("json_schema", '{"type": "objekt"}'),
        ("json_schema", "[]"),
    ):
        with pytest.raises(InvalidInput):
            await complete(model, "x", format=Format(kind, text))  # type: ignore[arg-type]
    with pytest.raises(ForwardFailed, match="no token"):
        await complete(
            model, "x", format=Format("grammar", 'root ::= "AA"'), sampling=Sampling(logit_bias={65: float("-inf")})
        )
    assert (await complete(model, "x", max_tokens=2)).ended is not None
    model.close()


async def test_a_call_that_must_be_is_made(tmp_path: Path) -> None:
    model = opened(tiny_writer(tmp_path / "m", context=2048))

    for seed in range(10):
        how = Sampling(temperature=1.5, top_p=1.0, seed=seed)
        named = await chat(model, "x", tools=(WEATHER, CLOCK), tool_choice=Named("weather"), sampling=how)
        if named.ended is not None and named.ended.reason == "tool_calls":
            assert [call[0] for call in named.calls.values()] == ["weather"]
            assert set(json.loads(named.calls[0][1])) >= {"city"}
        assert named.text == ""
    with pytest.raises(InvalidInput, match="not among"):
        await chat(model, "x", tools=(CLOCK,), tool_choice=Named("weather"))
    with pytest.raises(InvalidInput, match="no tools"):
        await chat(model, "x", tool_choice="required")
    model.close()


async def test_a_grammar_waits_for_the_end_of_reasoning(tmp_path: Path) -> None:
    model = saying(tmp_path, 'So it is.</think>\n{"a": "So it is."}', template=CHAT)
    wrote = await chat(model, "json!", format=Format("json_object"), template_kwargs={"thinking": True}, max_tokens=200)
    model.close()

    assert wrote.reasoning == "So it is."
    assert wrote.text.lstrip().startswith("{")


@pytest.mark.parametrize(("says", "calls"), [(CALLED, True), ('{"a": [1, 2]}', False)])
async def test_a_format_beside_tools_leaves_both(says: str, calls: bool, tmp_path: Path) -> None:  # noqa: FBT001
    model = saying(tmp_path, says)
    wrote = await chat(model, "x", tools=(WEATHER,), format=Format("json_object"), max_tokens=100)
    model.close()

    assert [each[0] for each in wrote.calls.values()] == (["weather"] if calls else [])
    assert bool(wrote.text) != calls


@pytest.mark.parametrize(
    ("template", "special"),
    [
        (CHAT, ()),
        ("[TOOL_CALLS] {{ tools }} {{ messages[0].content }}", ("[TOOL_CALLS]",)),
        ("[TOOL_CALLS][ARGS] {{ tools }} {{ messages[0].content }}", ("[TOOL_CALLS]", "[ARGS]")),
    ],
)
async def test_a_call_of_a_strict_tool_fits_its_schema(template: str, special: tuple[str, ...], tmp_path: Path) -> None:
    """The model wants to call it with something else."""
    mark = special[0] if special else "<tool_call>"
    model = saying(tmp_path, f'I ask. {mark}{{"name": "nothing"}}', template=template, special=special)
    free = await chat(model, "x", tools=(WEATHER,))
    kept = await chat(model, "x", tools=(replace(WEATHER, strict=True), CLOCK), max_tokens=200)
    model.close()

    assert "weather" not in str(free.calls)
    assert kept.text.startswith("I ask.")
    assert mark not in kept.text
    assert kept.calls
    for name, arguments in kept.calls.values():
        assert name in ("weather", "clock")
        assert name == "clock" or set(json.loads(arguments)) >= {"city"}
