from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.testing.conftest import Open

from textmill.folder.gguf import GgufFacts, read_gguf
from textmill.testing.gguf_llama import chain_gguf, chain_pieces, endless_gguf, llama_gguf
from textmill.testing.gguf_templates import CHAT, REASONING, TOOLS

USER = {"role": "user", "content": "Hello?"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}},
}
CALLS = (
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
)


def said(server: Any, prompt: str, **fields: Any) -> tuple[str, str, int]:
    """What a server makes of a prompt: the text, why it ended, and its tokens."""
    answer = server.handle_completions({"prompt": prompt, "max_tokens": 200, **fields})
    choice = answer["choices"][0]
    return choice["text"], choice["finish_reason"], answer["usage"]["completion_tokens"]


def chatted(server: Any, **fields: Any) -> dict[str, Any]:
    message: dict[str, Any] = server.handle_chat_completions({"messages": [USER], **fields})["choices"][0]["message"]
    return message


@pytest.mark.parametrize(
    ("write", "cached"),
    [(llama_gguf, 128), (lambda path: chain_gguf(path, "Hello there!"), 64), (endless_gguf, 64)],
)
def test_a_file_is_the_same_each_time_and_the_houses_reader_reads_it(
    write: Callable[[Path], Path], cached: int, tmp_path: Path
) -> None:
    first, again = write(tmp_path / "new" / "a.gguf"), write(tmp_path / "b.gguf")

    assert first.read_bytes() == again.read_bytes()
    assert first.stat().st_size < 300_000
    assert read_gguf(first) == GgufFacts("llama", 4096, chat_template=True, type="model", cached=cached)


def test_seeds_and_shapes_and_templates_are_chosen(tmp_path: Path) -> None:
    file = llama_gguf(tmp_path / "a.gguf", seed=1, context=100, layers=1, width=128, template=None)

    assert read_gguf(file) == GgufFacts("llama", 100, type="model", cached=128)
    assert (
        file.read_bytes()
        != llama_gguf(tmp_path / "b.gguf", context=100, layers=1, width=128, template=None).read_bytes()
    )


def test_seeded_weights_say_the_same_from_the_same_seed_and_depend_on_the_whole_prompt(
    tmp_path: Path, opened: Open
) -> None:
    server = opened(llama_gguf(tmp_path / "m.gguf"))

    texts = [said(server, prompt, temperature=0, max_tokens=20)[0] for prompt in ("The sea", "The sea", "A sea")]

    assert texts[0] == texts[1] != texts[2]
    assert said(server, "x", seed=3, max_tokens=20) == said(server, "x", seed=3, max_tokens=20)


TEXTS = [
    "Hello, hello world! Hello.",
    "ünï 😀😀 中文",
    "on the he in son",
    "ab",
    "a\nb\n\n",
    '{"a": [1, 2]}',
    "aaaaaaaaa",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_chain_answers_every_prompt_with_its_text_and_ends(text: str, tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", text))
    length = len(chain_pieces(text.encode()))

    for prompt in ("x", text, text[:-1], "😀\n"):
        assert said(server, prompt, temperature=2.0) == (text, "stop", length + 1)
    assert chatted(server)["content"] == text


def test_a_chain_is_cut_where_the_tokens_end(tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", [b"One", b", two", b"\xf0\x9f", b"\x98\x80", b"!!"]))

    assert said(server, "x") == ("One, two😀!!", "stop", 6)
    assert said(server, "x", max_tokens=2) == ("One, two", "length", 2)
    assert said(server, "x", stop=["two"]) == ("One, ", "stop", 2)


def test_an_endless_one_goes_on_until_it_is_stopped_or_the_context_is_full(tmp_path: Path, opened: Open) -> None:
    server = opened(endless_gguf(tmp_path / "m.gguf", "ab cd ", context=256), n_ctx=256)

    assert said(server, "x", max_tokens=9) == ("ab cd " * 3, "length", 9)
    assert said(server, "x", max_tokens=-1)[1:] == ("length", 255)


def test_a_chain_that_may_not_end_begins_again(tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", "ab cd "))

    assert said(server, "x", ignore_eos=True, max_tokens=7) == ('ab cd "ab cd ', "length", 7)


def test_a_grammar_against_the_text_finds_a_short_way_to_the_end(tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", "No JSON."))
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["a", "n"],
    }

    text, why, _ = said(server, "x", json_schema=schema)
    loose = chatted(server, response_format={"type": "json_object"})["content"]

    assert (json.loads(text), why) == ({"a": "No JSON.", "n": 0}, "stop")
    assert json.loads(loose) == {"No JSON.": "No JSON."}


@pytest.mark.parametrize("text", ["", "a", [b"ab", b"ab"], [b"a"], [b"he"], []])
def test_texts_that_no_chain_can_say_are_refused(text: str | list[bytes], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="piece"):
        chain_gguf(tmp_path / "m.gguf", text)


@pytest.mark.parametrize("text", [*TEXTS, CALLS, "<think>x</think>y z", "<think></think>ab"])
def test_pieces_are_distinct_and_make_the_text(text: str) -> None:
    pieces = chain_pieces(text.encode())

    assert b"".join(pieces).decode() == text
    assert len(set(pieces)) == len(pieces)


def test_the_marks_of_thoughts_and_calls_are_pieces_where_the_rest_can_be_cut() -> None:
    assert chain_pieces(b"<think>Why not?</think>So.") == [b"<think>", b"Wh", b"y ", b"no", b"t?", b"</think>", b"So."]
    assert b"<think>" not in chain_pieces(b"<think>x</think>So.")


@pytest.mark.parametrize("template", [TOOLS, REASONING])
def test_calls_in_hermes_style_are_read_as_calls(template: str, tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", CALLS, template=template))

    calls = chatted(server, tools=[WEATHER], parallel_tool_calls=True)["tool_calls"]

    assert [call["function"]["name"] for call in calls] == ["weather", "weather"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert chatted(server)["content"] == CALLS


@pytest.mark.parametrize("template", [CHAT, TOOLS, REASONING])
def test_templates_take_every_role(template: str, tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", "Fine.", template=template))
    call = {"id": "123456789", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    messages += [{"role": "tool", "tool_call_id": "123456789", "content": "Rain."}]

    assert chatted(server, messages=messages, tools=[WEATHER])["content"] == "Fine."


def test_thoughts_are_told_from_the_answer(tmp_path: Path, opened: Open) -> None:
    server = opened(chain_gguf(tmp_path / "m.gguf", "<think>\nWhy not?\n</think>\n\nFine.", template=REASONING))

    message = chatted(server)

    assert (message["reasoning_content"].strip(), message["content"]) == ("Why not?", "Fine.")


def test_a_begin_token_is_put_before_a_prompt_if_asked(tmp_path: Path, opened: Open) -> None:
    counts = []
    for add_bos in (False, True):
        server = opened(chain_gguf(tmp_path / "m.gguf", "Fine.", add_bos=add_bos))
        counts.append(server.handle_completions({"prompt": "xyz"})["usage"]["prompt_tokens"])

    assert counts == [3, 4]
