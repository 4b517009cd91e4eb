from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.providers.test_usual import file_of

from textmill.contract import (
    Alternative,
    CallPiece,
    ChatOptions,
    CompleteOptions,
    Ended,
    Event,
    Message,
    Named,
    Piece,
    Spent,
    TokenLogprob,
    Tool,
)
from textmill.errors import WrongTask
from textmill.providers.usual import usual_of
from textmill.providers.writes import Writes
from textmill.testing.served import info_of
from textmill.testing.writer import says

HELLO = (Message(role="user", content="Hello"),)
TOOL = Tool(name="turn", parameters={"type": "object", "properties": {"n": {"type": "integer"}}})


class Engine(Writes):
    """An engine that writes ``script`` and keeps what it was asked."""

    def __init__(self, *script: Event) -> None:
        self.info = info_of("tiny")
        self.script = script
        self.asked: list[tuple[Any, Any]] = []

    async def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        self.asked.append((messages, options))
        for event in self.script:
            yield event

    async def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        self.asked.append((prompt, options))
        for event in self.script:
            yield event


def engine(folder: Path, text: str, *script: Event) -> Engine:
    made = Engine(*script)
    made.usual = usual_of(file_of(folder, text + "\nparameters: {model: m.gguf}\n"), folder)
    return made


async def every(events: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in events]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


TEMPLATE = (
    "template:\n  chat_message: '<{{.RoleName}}>{{.Content}}'\n  chat: '{{.Input}}<assistant>'\n"
    "  function: '{{range .Functions}}[{{.Name}}]{{end}}{{.Input}}<assistant>'\n"
)


async def test_the_models_own_template_is_the_engines_part(tmp_path: Path) -> None:
    made = engine(tmp_path, "system_prompt: Be short.\nstopwords: [END]", *says("a", "b"))
    assert text_of(await every(made.chat(HELLO, ChatOptions()))) == "ab"
    assert made.asked == [((Message(role="system", content="Be short."), *HELLO), ChatOptions(stop=("END",)))]


async def test_a_conversation_becomes_a_prompt_by_the_files_templates(tmp_path: Path) -> None:
    made = engine(tmp_path, TEMPLATE, *says("a"))
    events = await every(made.chat(HELLO, ChatOptions(max_tokens=5)))
    assert events == [Piece(text="a"), Ended(0, "stop"), Spent(prompt_tokens=9, completion_tokens=1)]
    assert made.asked == [("<user>Hello<assistant>", CompleteOptions(max_tokens=5))]


async def test_a_template_that_cannot_be_filled_for_a_request_is_left_out_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = engine(tmp_path, "template: {chat: '{{(index .Functions 0).Name}}: {{.Input}}'}", *says("a"))
    await every(made.chat(HELLO, ChatOptions()))
    await every(made.chat(HELLO, ChatOptions(tools=(TOOL,), tool_choice="required")))
    assert [prompt for prompt, _ in made.asked] == ["Hello", "turn: Hello"]
    assert "m: template.chat:1:" in caplog.text


async def test_reasoning_is_told_apart_in_what_comes_behind_a_template(tmp_path: Path) -> None:
    made = engine(tmp_path, TEMPLATE, *says("<thi", "nk>hm</think>", "yes"))
    events = await every(made.chat(HELLO, ChatOptions()))
    assert "".join(event.reasoning for event in events if isinstance(event, Piece)) == "hm"
    assert text_of(events) == "yes"
    plain = engine(tmp_path, TEMPLATE + "reasoning: {disable: true}", *says("<think>hm</think>yes"))
    assert text_of(await every(plain.chat(HELLO, ChatOptions()))) == "<think>hm</think>yes"
    hidden = engine(tmp_path, TEMPLATE + "reasoning: {strip_reasoning_only: true}", *says("<think>hm</think>yes"))
    events = await every(hidden.chat(HELLO, ChatOptions()))
    assert [(event.reasoning, event.text) for event in events if isinstance(event, Piece)] == [("", "yes")]


async def test_a_grammar_makes_a_model_without_tools_call_them(tmp_path: Path) -> None:
    made = engine(tmp_path, TEMPLATE, *says('{"name": "turn",', ' "arguments": {"n": 1}}'))
    options = ChatOptions(tools=(TOOL,))
    events = await every(made.chat(HELLO, options))
    [(prompt, asked)] = made.asked
    assert prompt == "[turn][answer]<user>Hello<assistant>"
    assert asked.format.kind == "json_schema"
    [piece, ended, _] = events
    assert isinstance(piece, Piece)
    assert [replace(call, id=None) for call in piece.calls] == [CallPiece(0, None, "turn", '{"n": 1}')]
    assert ended == Ended(0, "tool_calls")


async def test_an_answer_in_words_is_a_call_of_its_own(tmp_path: Path) -> None:
    made = engine(tmp_path, TEMPLATE, *says('{"name": "answer", "arguments": {"message": "No."}}'))
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,))))
    assert events[:2] == [Piece(text="No."), Ended(0, "stop")]


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        (ChatOptions(tools=(TOOL,), tool_choice="required"), "[turn]"),
        (ChatOptions(tools=(TOOL, Tool(name="stop")), tool_choice=Named("stop")), "[stop]"),
        (ChatOptions(tools=(replace(TOOL, strict=True),)), "[turn]"),
        (ChatOptions(tools=(TOOL,), tool_choice="none"), ""),
    ],
)
async def test_tools_are_offered_as_the_choice_says(options: ChatOptions, offered: str, tmp_path: Path) -> None:
    made = engine(tmp_path, TEMPLATE, *says("{}"))
    await every(made.chat(HELLO, options))
    [(prompt, asked)] = made.asked
    assert prompt == f"{offered}<user>Hello<assistant>"
    assert (asked.format is not None) is bool(offered)


@pytest.mark.parametrize(
    ("function", "written", "words", "calls"),
    [
        (
            "{grammar: {disable: true}, response_regex: ['(?P<name>\\w+)\\((?P<arguments>.*)\\)']}",
            'turn({"n": 2})',
            "",
            [("turn", '{"n": 2}')],
        ),
        ("{grammar: {disable: true}, json_regex_match: ['CALL (.*)']}", 'CALL {"name": "turn"}', "", [("turn", "{}")]),
        (
            "{function_name_key: tool, function_arguments_key: with}",
            '{"tool": "turn", "with": {"n": 3}}',
            "",
            [("turn", '{"n": 3}')],
        ),
        (
            "{grammar: {disable: true}, capture_llm_results: ['SAY:(.*)'], json_regex_match: ['CALL (.*)']}",
            'SAY:well\nCALL {"name": "turn"}',
            "well",
            [("turn", "{}")],
        ),
        ("{replace_llm_results: [{key: '^```json', value: ''}]}", '```json{"name": "turn"}', "", [("turn", "{}")]),
        (
            (
                "{grammar: {disable: true}, response_regex: ['(?P<name>\\w+):(?P<arguments>.*)'], "
                "argument_regex: ['(?P<key>\\w+)=(?P<value>\\w+)']}"
            ),
            "turn:n=4 m=5",
            "",
            [("turn", '{"n": "4", "m": "5"}')],
        ),
        ("{}", "just words", "just words", []),
        ("{}", '{"name": "unknown", "arguments": {}}', '{"name": "unknown", "arguments": {}}', []),
        ("{grammar: {parallel_calls: true}}", '[{"name": "turn"}, {"name": "turn"}]', "", [("turn", "{}")] * 2),
    ],
)
async def test_calls_are_found_as_the_file_says(
    function: str, written: str, words: str, calls: list[tuple[str, str]], tmp_path: Path
) -> None:
    made = engine(tmp_path, TEMPLATE + f"function: {function}", *says(written))
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,))))
    assert text_of(events) == words
    assert [
        (call.name, call.arguments) for event in events if isinstance(event, Piece) for call in event.calls
    ] == calls


@pytest.mark.parametrize(("several", "numbers"), [(True, {"1", "2"}), (False, {"1"})])
@pytest.mark.parametrize("step", [1, 7, 200])
async def test_one_call_goes_out_where_no_more_are_wanted(
    tmp_path: Path, step: int, numbers: set[str], *, several: bool
) -> None:
    call = '<tool_call>\n{"name": "turn", "arguments": {"n": @}}\n</tool_call>\n'
    text = call.replace("@", "1") + call.replace("@", "2")
    script = says(*(text[at : at + step] for at in range(0, len(text), step)))
    made = engine(tmp_path, TEMPLATE + "function: {grammar: {disable: true}}", *script)
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,), parallel_tool_calls=several)))
    arguments: dict[int, str] = {}
    for event in events:
        for call_piece in event.calls if isinstance(event, Piece) else ():
            arguments[call_piece.index] = arguments.get(call_piece.index, "") + call_piece.arguments
    assert {*arguments.values()} == {f'{{"n": {number}}}' for number in numbers}
    assert Ended(0, "tool_calls") in events


@pytest.mark.parametrize(
    ("written", "words"),
    [('{"name": "answer", "arguments": {"message": "No."}}', "No."), ('{"name": "turn", "arguments": {}}', "")],
)
async def test_calls_keep_the_log_probabilities_of_their_tokens(tmp_path: Path, written: str, words: str) -> None:
    tokens = [TokenLogprob(Alternative(part, -0.5, part.encode())) for part in (written[:9], written[9:])]
    pieces = [Piece(text=each.token.text, logprobs=(each,)) for each in tokens]
    made = engine(tmp_path, TEMPLATE, *pieces, Ended(0, "stop"))
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,), logprobs=0)))
    assert [each for event in events if isinstance(event, Piece) for each in event.logprobs] == tokens
    assert text_of(events) == words


@pytest.mark.parametrize("ended", [Ended(0, "length"), Ended(0, "stop", "END")], ids=["limit", "stop"])
@pytest.mark.parametrize(
    "written", ['{"name": ', '{"name": "answer", "arguments": {"message": "It', '[{"name": "turn"']
)
async def test_a_call_that_is_cut_off_is_no_text(tmp_path: Path, written: str, ended: Ended) -> None:
    made = engine(tmp_path, TEMPLATE, Piece(text=written), ended)
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,), tool_choice="required")))
    assert events == [ended]


async def test_json_that_is_no_call_is_text_up_to_the_limit(tmp_path: Path) -> None:
    function = "function: {grammar: {disable: true}, json_regex_match: ['CALL (.*)']}"
    made = engine(tmp_path, TEMPLATE + function, Piece(text='{"rain": '), Ended(0, "length"))
    events = await every(made.chat(HELLO, ChatOptions(tools=(TOOL,))))
    assert events == [Piece(text='{"rain": '), Ended(0, "length")]


async def test_answers_are_cleaned_once_they_are_whole(tmp_path: Path) -> None:
    made = engine(tmp_path, "cutstrings: ['<.*?>']\ntrimspace: [x]", *says("x <", "b", "> yes "))
    events = await every(made.chat(HELLO, ChatOptions()))
    assert events == [Piece(text="yes"), Ended(0, "stop"), Spent(prompt_tokens=9, completion_tokens=3)]


async def test_prompts_and_edits_go_through_their_templates(tmp_path: Path) -> None:
    text = "template: {completion: 'Q: {{.Input}}', edit: '{{.Instruction}}|{{.Input}}'}"
    made = engine(tmp_path, text, *says("a"))
    await every(made.complete("hi", CompleteOptions()))
    await every(made.complete("hi", CompleteOptions(instruction="Mend")))
    await every(made.complete([1, 2], CompleteOptions()))
    assert made.asked == [("Q: hi", CompleteOptions()), ("Mend|hi", CompleteOptions()), ([1, 2], CompleteOptions())]


async def test_an_edit_without_a_template_keeps_its_instruction(tmp_path: Path) -> None:
    made = engine(tmp_path, "", *says("a"))
    await every(made.complete("The mil.", CompleteOptions(instruction="Mend it.")))
    [(prompt, _)] = made.asked
    assert "Mend it." in prompt
    assert "The mil." in prompt


async def test_a_model_that_embeds_only_does_not_write(tmp_path: Path) -> None:
    made = engine(tmp_path, "")
    made.info = replace(made.info, tasks=("embed",))
    with pytest.raises(WrongTask, match="cannot chat; it can embed"):
        await every(made.chat(HELLO, ChatOptions()))
    with pytest.raises(WrongTask, match="cannot complete"):
        await every(made.complete("x", CompleteOptions()))


async def test_a_raw_prompt_is_not_put_into_the_files_template(tmp_path: Path) -> None:
    made = engine(tmp_path, "template: {completion: 'Q: {{.Input}} A:'}", *says("It turns."))
    for options in (CompleteOptions(), CompleteOptions(raw=True)):
        await every(made.complete("What turns?", options))
    assert [prompt for prompt, _ in made.asked] == ["Q: What turns? A:", "What turns?"]
