"""The examples and lists of docs/prompt-templates.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from textmill.prompting import Conversation, Message, Prompts, Templates, Tool, ToolCall
from textmill.prompting.functions import FUNCTIONS, REFUSED
from textmill.prompting.limits import MOST_CHARACTERS, MOST_NESTING, MOST_SOURCE, MOST_STEPS, MOST_VARIABLES
from textmill.prompting.records import message_record, prompt_record

PAGE = (Path(__file__).parents[2] / "docs/prompt-templates.md").read_text()
BLOCKS = re.findall(r"^```(yaml|json|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = list(zip(BLOCKS[::3], BLOCKS[1::3], BLOCKS[2::3], strict=True))


def rendered(model: dict[str, Any], request: dict[str, Any]) -> str:
    template = model.get("template", {})
    prompts = Prompts.of(
        Templates(**template, roles=model.get("roles", {}), system_prompt=model.get("system_prompt", ""))
    )
    if "instruction" in request:
        return prompts.of_edit(request["input"], request["instruction"])
    messages = tuple(
        Message(
            role=message["role"],
            content=message.get("content", ""),
            tool_calls=tuple(ToolCall(id=call["id"], **call["function"]) for call in message.get("tool_calls", ())),
        )
        for message in request["messages"]
    )
    tools = tuple(Tool(**tool["function"]) for tool in request.get("tools", ()))
    return prompts.of_chat(Conversation(messages=messages, tools=tools))


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_gives_what_the_page_says(example: tuple[tuple[str, str], ...]) -> None:
    (_, model), (_, request), (_, expected) = example

    assert [kind for kind, _ in example] == ["yaml", "json", "text"]
    assert rendered(yaml.safe_load(model), json.loads(request)).rstrip("\n") == expected.rstrip("\n")


def test_the_python_of_the_page_runs() -> None:
    [block] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    exec(compile(block, "prompt-templates.md", "exec"), {})  # noqa: S102 - the page's own example


def test_the_page_has_all_functions_and_no_others() -> None:
    section = PAGE.partition("## Functions")[2].partition("\n`keys`")[0]

    assert set(re.findall(r"`(\w+)`", section)) - {"must"} == set(FUNCTIONS)
    assert not FUNCTIONS.keys() & REFUSED.keys()


def test_the_page_has_all_data() -> None:
    message = message_record(
        Message(role="user"), index=0, last=True, role="", prefix="", system_prompt="", grammar=False
    )
    prompt = prompt_record(text="", system_prompt="", metadata={})
    section = PAGE.partition("## Data")[2].partition("\nNumbers")[0]
    first, second = section.split("| of a prompt | |")

    assert set(message.fields) <= set(re.findall(r"\.(\w+)", first))
    assert set(prompt.fields) - set(re.findall(r"\.(\w+)", second)) == {"MessageIndex"}  # always 0


def test_the_page_has_the_limits() -> None:
    for text in (
        f"{MOST_SOURCE:,} characters",
        f"{MOST_NESTING} levels",
        f"{MOST_STEPS:,} steps",
        f"{MOST_VARIABLES} variables",
        f"{MOST_CHARACTERS:,}",
    ):
        assert text in PAGE
