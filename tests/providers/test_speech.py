from __future__ import annotations

import json
from itertools import pairwise

import pytest

from textmill.providers.speech import REASONING, Manner, Said, Speech

TOOLS = ("weather", "clock")
CALL = '{"name": "weather", "arguments": {"city": "a } \\" { b", "n": [1, {"x": 2}]}}'
ARGUMENTS = '{"city": "a } \\" { b", "n": [1, {"x": 2}]}'


def heard(
    text: str, manner: Manner, cuts: tuple[int, ...] | None = None
) -> tuple[str, str, list[tuple[str, str]], int]:
    """Content, reasoning, calls and how many calls are whole, of a text that comes letter by letter or cut there."""
    speech = Speech(manner)
    places = range(len(text) + 1) if cuts is None else (0, *cuts, len(text))
    said = [speech.push(text[start:stop]) for start, stop in pairwise(places)] + [speech.finish()]
    calls: dict[int, list[str]] = {}
    for each in said:
        for piece in each.calls:
            made = calls.setdefault(piece.index, ["", "", ""])
            made[0] += piece.name or ""
            made[1] += piece.arguments
            made[2] += piece.id or ""
    assert len({made[2] for made in calls.values()}) == len(calls)
    return (
        "".join(each.content for each in said),
        "".join(each.reasoning for each in said),
        [(name, arguments) for name, arguments, _ in calls.values()],
        speech.calls,
    )


HERMES = (
    f'Let me see.\n<tool_call>\n{CALL}\n</tool_call>\n<tool_call>{{"name": "clock", "arguments": {{}}}}</tool_call>'
)


@pytest.mark.parametrize(
    ("text", "manner", "content", "reasoning", "calls"),
    [
        ("a < b, <b>", Manner(tools=TOOLS), "a < b, <b>", "", []),
        (HERMES, Manner(tools=TOOLS), "Let me see.\n", "", [("weather", ARGUMENTS), ("clock", "{}")]),
        (HERMES, Manner(), HERMES, "", []),
        ("<think>\nhm < hm</think>\n\nso", Manner(), "so", "hm < hm", []),
        ("hm</think>so", Manner("<think>"), "so", "hm", []),
        ("hm", Manner("<think>"), "", "hm", []),
        ("<think>a</think>b<think>c</think>d", Manner(), "bd", "ac", []),
        (f"<think>a</think>{HERMES}", Manner(tools=TOOLS), "Let me see.\n", "a", [("weather", ARGUMENTS), ("clock", "{}")]),
        (f"[TOOL_CALLS][{CALL}, {CALL}]", Manner(tools=TOOLS), "", "", [("weather", ARGUMENTS)] * 2),
        (f"[TOOL_CALLS]weather[ARGS]{ARGUMENTS}[TOOL_CALLS]clock{{}}", Manner(tools=TOOLS), "", "",
         [("weather", ARGUMENTS), ("clock", "{}")]),
        (f"x<|python_tag|>{CALL}; {CALL}", Manner(tools=TOOLS), "x", "", [("weather", ARGUMENTS)] * 2),
        (CALL, Manner(tools=TOOLS, bare=True), "", "", [("weather", ARGUMENTS)]),
        (CALL, Manner(tools=TOOLS), CALL, "", []),
        (CALL.replace("weather", "other"), Manner(tools=TOOLS, bare=True), CALL.replace("weather", "other"), "", []),
        (f"hm</think>\n{CALL}", Manner("<think>", TOOLS, bare=True), "", "hm", [("weather", ARGUMENTS)]),
        ('{"a": 1}', Manner(tools=TOOLS, bare=True), '{"a": 1}', "", []),
        ("plain", Manner(tools=TOOLS, bare=True), "plain", "", []),
        (HERMES, Manner(tools=TOOLS, bare=True), "Let me see.\n", "", [("weather", ARGUMENTS), ("clock", "{}")]),
        ('<tool_call>{"arguments": {"a": 1}, "name": "clock"}</tool_call>', Manner(tools=TOOLS), "", "", [("clock", '{"a": 1}')]),
        ('<tool_call>{"type": "function", "function": {"name": "clock", "parameters": "{}"}}</tool_call>', Manner(tools=TOOLS),
         "", "", [("clock", "{}")]),
        ('<tool_call>{"name": "clock"}</tool_call>', Manner(tools=TOOLS), "", "", [("clock", "{}")]),
        ("<tool_call>no JSON</tool_call> and on", Manner(tools=TOOLS), "no JSONand on", "", []),
        ("", Manner(tools=TOOLS, bare=True), "", "", []),
        ("[TOOL_CALLS", Manner(tools=TOOLS), "[TOOL_CALLS", "", []),
    ],
)  # fmt: skip
def test_a_text_is_parted_by_its_marks_however_it_is_cut(
    text: str, manner: Manner, content: str, reasoning: str, calls: list[tuple[str, str]]
) -> None:
    wanted = (content, reasoning, calls, len(calls))

    assert heard(text, manner) == wanted
    assert heard(text, manner, ()) == wanted
    for cut in range(1, len(text), 7):
        assert heard(text, manner, (cut,)) == wanted


@pytest.mark.parametrize("name", [r"a\qb", "a\nb", r"a\u12", r"\ud800"])
@pytest.mark.parametrize("text", ['{"name": "NAME", "arguments": {}}', '{"arguments": {}, "name": "NAME"}'])
def test_a_name_that_is_no_json_makes_no_call(name: str, text: str) -> None:
    text = text.replace("NAME", name)

    for cuts in (None, ()):
        assert heard(f"<tool_call>{text}</tool_call>", Manner(tools=TOOLS), cuts) == (text, "", [], 0)
        assert heard(text, Manner(tools=TOOLS, bare=True), cuts) == (text, "", [], 0)


def test_what_is_nested_too_deep_makes_no_call() -> None:
    text = f'{{"arguments": {"[" * 100_000 + "]" * 100_000}, "name": "clock"}}'

    assert heard(f"<tool_call>{text}</tool_call>", Manner(tools=TOOLS), ()) == (text, "", [], 0)
    assert heard(text, Manner(tools=TOOLS, bare=True), ()) == (text, "", [], 0)


@pytest.mark.parametrize(("opening", "closing"), REASONING.items())
def test_every_mark_of_reasoning_is_known(opening: str, closing: str) -> None:
    assert heard(f"{opening}a{closing}b", Manner())[:2] == ("b", "a")


def test_arguments_come_as_they_are_written() -> None:
    speech = Speech(Manner(tools=TOOLS))
    first = speech.push('<tool_call>{"name": "weather", "arguments": {"ci')
    second = speech.push('ty": "Kö')

    assert [(piece.index, piece.name, piece.arguments) for piece in (*first.calls, *second.calls)] == [
        (0, "weather", ""),
        (0, None, '{"ci'),
        (0, None, 'ty": "Kö'),
    ]
    assert speech.calls == 0
    third = "".join(piece.arguments for piece in speech.push('ln"}').calls)
    assert json.loads(f'{{"city": "Kö{third}') == {"city": "Köln"}
    assert speech.calls == 0  # the object around them is open
    assert speech.push("}") == Said()
    assert speech.calls == 1


def test_a_call_that_is_cut_off_is_no_content() -> None:
    speech = Speech(Manner(tools=TOOLS))
    speech.push('<tool_call>{"name": "weather", "arguments": {"ci')

    assert speech.finish() == Said()
    assert speech.calls == 0


def parted(manner: Manner, text: str, size: int) -> tuple[str, str, str]:
    """Content, thoughts and arguments of a text that comes in parts of that size."""
    speech = Speech(manner)
    said = [speech.push(text[start : start + size]) for start in range(0, len(text), size)] + [speech.finish()]
    return (
        "".join(each.content for each in said),
        "".join(each.reasoning for each in said),
        "".join(piece.arguments for each in said for piece in each.calls),
    )


@pytest.mark.parametrize("size", [1, 3, 100])
def test_marks_within_bound_content_are_content(size: int) -> None:
    text = '{"a": "<think>no</think> <tool_call>"}'
    assert parted(Manner(tools=("turn",), bound=True), text, size) == (text, "", "")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_thoughts_come_before_bound_content(size: int) -> None:
    text = '<think>\nSo.</think>\n\n{"a": "</think>"}'
    assert parted(Manner(bound=True), text, size) == ('{"a": "</think>"}', "So.", "")
    assert parted(Manner("<think>", bound=True), text.removeprefix("<think>\n"), size) == (
        '{"a": "</think>"}',
        "So.",
        "",
    )


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_mark_among_the_arguments_of_a_call_does_not_end_it(size: int) -> None:
    text = '<tool_call>\n{"name": "turn", "arguments": {"a": "</tool_call>"}}\n</tool_call>'
    assert parted(Manner(tools=("turn",)), text, size) == ("", "", '{"a": "</tool_call>"}')


def test_long_json_that_shows_no_call_is_words_at_last() -> None:
    speech = Speech(Manner(tools=TOOLS, bare=True))
    assert not speech.push('{"words": "' + "x" * 100)
    assert speech.push("x" * 9000).content.startswith('{"words": "')
