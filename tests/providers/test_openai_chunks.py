"""Chunks of many servers as events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from textmill.contract import Ended, Event, Piece, Spent
from textmill.errors import ForwardFailed
from textmill.providers.openai_chunks import ChunkReader
from textmill.testing.openai_server import chunk


def read(chunks: Sequence[dict[str, Any]], n: int = 1, top: int | None = None, *, each: bool = False) -> list[Event]:
    reader = ChunkReader("mill", n, top=top, usage_of_each=each)
    return [*(event for one in chunks for event in reader.read(one)), *reader.end()]


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}, **more}


def calls(*parts: dict[str, Any]) -> dict[str, Any]:
    return chunk(delta={"tool_calls": list(parts)})


def part(arguments: Any = "", *, id_: str | None = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id_, "function": {"name": name, "arguments": arguments}, **more}


def told_calls(events: Sequence[Event]) -> list[tuple[int, str | None, str | None, str]]:
    pieces = [each for event in events if isinstance(event, Piece) for each in event.calls]
    return [(each.index, each.id, each.name, each.arguments) for each in pieces]


def test_pieces_then_an_end_then_the_tokens() -> None:
    events = read(
        [
            chunk(delta={"role": "assistant", "content": ""}),
            chunk(delta={"content": None, "reasoning_content": "hm"}),
            chunk(delta={"reasoning": "so"}),
            chunk(delta={"content": "a"}),
            chunk(delta={"content": "b"}, reason="length"),
            usage(3, 4),
        ]
    )
    assert events == [
        Piece(reasoning="hm"),
        Piece(reasoning="so"),
        Piece(text="a"),
        Piece(text="b"),
        Ended(0, "length"),
        Spent(prompt_tokens=3, completion_tokens=4),
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        *(("stop", "stop"), ("length", "length"), ("model_length", "length"), ("max_tokens", "length")),
        *(("tool_calls", "tool_calls"), ("function_call", "tool_calls"), ("content_filter", "stop"), ("eos", "stop")),
    ],
)
def test_reasons_are_three(said: str, reason: str) -> None:
    assert read([chunk(text="a", reason=said)])[1] == Ended(0, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["error", "abort"])
def test_an_answer_that_was_given_up_fails(said: str) -> None:
    with pytest.raises(ForwardFailed, match="gave up"):
        read([chunk(text="a", reason=said)])


def test_the_stop_string_is_told_where_the_server_tells_it() -> None:
    assert read([chunk(text="a", reason="stop", stop_reason="END")])[1] == Ended(0, "stop", "END")
    assert read([chunk(text="a", reason="stop", stop_reason=128009)])[1] == Ended(0, "stop")


def test_an_end_is_told_once_and_nothing_comes_behind_it() -> None:
    events = read([chunk(text="a", reason="stop"), chunk(text="b"), chunk(text="", reason="length"), usage(1, 1)])
    assert events == [Piece(text="a"), Ended(0, "stop"), Spent(prompt_tokens=1, completion_tokens=1)]


def test_calls_come_in_parts_and_by_number() -> None:
    events = read(
        [
            calls(part(index=0, id_="a", name="f")),
            calls(part('{"x":', index=0), part(index=1, id_="b", name="g")),
            calls(part("1}", index=0)),
            chunk(reason="stop"),
        ]
    )
    assert told_calls(events) == [(0, "a", "f", ""), (0, None, None, '{"x":'), (1, "b", "g", ""), (0, None, None, "1}")]
    assert events[-2] == Ended(0, "tool_calls")


def test_calls_that_share_a_number_are_parted_by_their_ids() -> None:
    same = [part("{}", index=0, id_="a", name="f"), part("{}", index=0, id_="b", name="g")]
    assert [each[:2] for each in told_calls(read([calls(each) for each in same]))] == [(0, "a"), (1, "b")]


def test_an_id_that_is_told_again_is_the_same_call() -> None:
    parts = [part("{", index=0, id_="a", name="f"), part("}", index=0, id_="a", name="f")]
    assert told_calls(read([calls(each) for each in parts])) == [(0, "a", "f", "{"), (0, None, None, "}")]


def test_calls_without_numbers_and_ids_get_them() -> None:
    events = told_calls(read([calls(part({"x": 1}, name="f")), calls(part("", name="g")), calls(part("{}"))]))
    assert [(index, name, arguments) for index, _, name, arguments in events] == [
        (0, "f", '{"x":1}'),
        (1, "g", ""),
        (1, None, "{}"),
    ]
    ids = [id_ for _, id_, name, _ in events if name]
    assert len(set(ids)) == 2
    assert all(id_ and id_.startswith("call_") for id_ in ids)


def test_a_legacy_function_call_is_a_call() -> None:
    events = read([chunk(delta={"function_call": {"name": "f", "arguments": "{"}}), chunk(delta={"function_call": {"arguments": "}"}})])  # fmt: skip
    assert [(index, name, arguments) for index, _, name, arguments in told_calls(events)] == [
        (0, "f", "{"),
        (0, None, "}"),
    ]
    assert events[-2] == Ended(0, "tool_calls")


def test_content_in_parts_is_text_and_reasoning() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]
    assert read([chunk(delta={"content": parts})])[0] == Piece(text="a", reasoning="hm")


def test_logprobs_of_chats_keep_bytes_and_ids() -> None:
    other = {"token": "b", "logprob": -2.0, "bytes": None}
    token = {"token": "\ufffd", "logprob": -0.5, "bytes": [195], "id": 7, "top_logprobs": [other, other]}
    piece = read([chunk(delta={"content": ""}, logprobs={"content": [token]})], top=1)[0]
    assert isinstance(piece, Piece)
    [told] = piece.logprobs
    assert (told.token.data, told.token.logprob, told.token.id) == (b"\xc3", -0.5, 7)
    assert [(each.text, each.data) for each in told.top] == [("b", b"b")]


def test_logprobs_of_completions_are_lists() -> None:
    told = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"c": -2.0, "b": -1.0}], "text_offset": [0, 1]}  # fmt: skip
    piece = read([chunk(text="ab", logprobs=told)], top=2)[0]
    assert isinstance(piece, Piece)
    first, second = piece.logprobs
    assert (first.token.text, first.token.logprob, first.top) == ("a", 0.0, ())
    assert [each.text for each in second.top] == ["b", "c"]


def test_logprobs_that_nobody_asked_for_are_left_out() -> None:
    assert read([chunk(text="a", logprobs={"content": [{"token": "a", "logprob": 0}]})])[0] == Piece(text="a")


def test_each_choice_tells_its_own_tokens_to_llama_cpp() -> None:
    events = read(
        [
            chunk(1, text="a"),
            chunk(0, text="a"),
            {**chunk(1, text="", reason="stop"), **usage(9, 3, timings={"prompt_ms": 50.0, "predicted_ms": 100.0}), "choices": chunk(1, text="", reason="stop")["choices"]},
            {**usage(9, 4, timings={"prompt_ms": 20.0, "predicted_ms": 300.0}), "choices": chunk(0, text="", reason="length")["choices"]},
        ],
        n=2,
        each=True,
    )  # fmt: skip
    assert [each for each in events if isinstance(each, Ended)] == [Ended(1, "stop"), Ended(0, "length")]
    assert events[-1] == Spent(prompt_tokens=9, completion_tokens=7, prompt_s=0.05, generation_s=0.3)


def test_usage_that_grows_counts_once() -> None:
    told = usage(9, 5)
    told["usage"]["prompt_tokens_details"] = {"cached_tokens": 8}
    assert read([{**chunk(text="a"), "usage": usage(9, 1)["usage"]}, told])[-1] == Spent(
        prompt_tokens=9, completion_tokens=5, cached=8
    )


def test_timings_and_logprobs_stand_in_for_usage() -> None:
    timings = {"cache_n": 4, "prompt_n": 6, "predicted_n": 3, "prompt_ms": 10.0, "predicted_ms": 20.0}
    assert read([{**chunk(text="a", reason="stop"), "timings": timings}])[-1] == Spent(
        prompt_tokens=10, completion_tokens=3, cached=4, prompt_s=0.01, generation_s=0.02
    )
    scored = {"content": [{"token": "a", "logprob": 0}, {"token": "b", "logprob": 0}]}
    assert read([chunk(text="ab", logprobs=scored)], top=0)[-1] == Spent(prompt_tokens=0, completion_tokens=2)
    assert read([chunk(text="ab")])[-1] == Spent(prompt_tokens=0, completion_tokens=0)


def test_an_answer_that_never_began_fails() -> None:
    with pytest.raises(ForwardFailed, match="gave no answer"):
        read([usage(1, 1)])
    with pytest.raises(ForwardFailed, match="number 2 of 2"):
        read([chunk(text="a", reason="stop")], n=2)


def test_an_answer_that_was_not_asked_for_fails() -> None:
    with pytest.raises(ForwardFailed, match="number 2, and was asked for 1"):
        read([chunk(1, text="a")])


def scored(**logprobs: Any) -> dict[str, Any]:
    return chunk(text="a", logprobs=logprobs)


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"choices": {"index": 0}}, "choices"),
        ({"choices": "a"}, "choices"),
        ({"choices": [None]}, "choices"),
        ({"choices": [{"index": "0", "text": "a"}]}, "index"),
        ({"choices": [{"index": -1, "text": "a"}]}, "index"),
        ({"choices": [{"index": True, "text": "a"}]}, "index"),
        ({"choices": [{"delta": "a"}]}, "delta"),
        ({"choices": [{"text": 5}]}, "text"),
        (chunk(delta={"content": 5}), "content"),
        (chunk(delta={"content": {"a": 1}}), "content"),
        (chunk(delta={"content": ["a"]}), "content"),
        (chunk(delta={"content": [{"type": "thinking", "thinking": "hm"}]}), "thinking"),
        (chunk(delta={"reasoning": 5}), "reasoning"),
        (chunk(delta={"reasoning_content": ["a"]}), "reasoning_content"),
        (chunk(delta={"tool_calls": [None]}), "tool_calls"),
        (chunk(delta={"tool_calls": "a"}), "tool_calls"),
        (chunk(delta={"function_call": "a"}), "function"),
        (calls({"id": 5, "function": {"name": "a"}}), "id"),
        (calls({"id": "5", "function": {"name": ["a"]}}), "name"),
        (calls({"id": "5", "function": {"name": "a", "arguments": 5}}), "arguments"),
        (calls({"index": "0", "function": {"name": "a"}}), "index"),
        (calls({"index": [], "function": {"name": "a"}}), "index"),
        (chunk(text="a", reason={"type": "stop"}), "finish_reason"),  # type: ignore[arg-type]
        (chunk(text="a", reason=["stop"]), "finish_reason"),  # type: ignore[arg-type]
        (chunk(text="a", logprobs="a"), "logprobs"),
        (scored(content="a"), "content"),
        (scored(content=[None]), "content"),
        (scored(content=[{"token": 5}]), "token"),
        (scored(content=[{"token": "a", "logprob": "-1"}]), "logprob"),
        (scored(content=[{"token": "a", "logprob": 10**400}]), "logprob"),
        (scored(content=[{"token": "a", "bytes": [300]}]), "bytes"),
        (scored(content=[{"token": "a", "bytes": "YQ=="}]), "bytes"),
        (scored(content=[{"token": "a", "id": "7"}]), "id"),
        (scored(content=[{"token": "a", "top_logprobs": [None]}]), "top_logprobs"),
        (scored(tokens="a"), "tokens"),
        (scored(tokens=[5], token_logprobs=[-1]), "tokens"),
        (scored(tokens=["a"], token_logprobs=["-1"]), "token_logprobs"),
        (scored(tokens=["a"], token_logprobs=[-1], top_logprobs=["a"]), "top_logprobs"),
        (scored(tokens=["a"], token_logprobs=[-1], top_logprobs=[{"b": None}]), "top_logprobs"),
        ({"usage": "a"}, "usage"),
        ({"x_groq": "a"}, "x_groq"),
        ({"x_groq": {"usage": 5}}, "usage"),
        ({"timings": "a"}, "timings"),
        ({"timings": {"prompt_ms": "a"}}, "prompt_ms"),
        (usage("abc", 1), "prompt_tokens"),  # type: ignore[arg-type]
        (usage(1, -1), "completion_tokens"),
        ({"usage": {"prompt_tokens_details": "a"}}, "prompt_tokens_details"),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": "a"}}}, "cached_tokens"),
        ({"usage": {"prompt_tokens": 1.5}}, "prompt_tokens"),
    ],
)
def test_a_field_of_another_kind_is_named(odd: dict[str, Any], field: str) -> None:
    with pytest.raises(ForwardFailed, match=f"^mill gave an answer that cannot be read: its {field} must be "):
        read([chunk(text="a"), odd], top=1)


def test_fields_that_are_null_or_empty_are_none() -> None:
    nothing = {"index": None, "delta": None, "logprobs": None, "finish_reason": None, "text": None}
    delta = {"content": None, "reasoning": None, "tool_calls": None, "function_call": None}
    more = {"usage": None, "timings": None, "x_groq": None}
    events = read([{"choices": None}, {"choices": [nothing], **more}, chunk(delta=delta), usage(2.0, 1)])  # type: ignore[arg-type]
    assert events == [Ended(0, "stop"), Spent(prompt_tokens=2, completion_tokens=1)]
