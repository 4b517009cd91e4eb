from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from textmill.providers.written import Detokenizer, StopStrings


class Bytes:
    """Every byte is a token."""

    template = ""
    special: Mapping[int, str] = {256: "<end>"}
    added: Mapping[int, str] = special

    def encode(self, text: str, *, special_tokens: bool) -> list[int]:
        del special_tokens
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode(errors="replace")

    def data(self, id_: int) -> bytes:
        return bytes([id_])

    def render(self, *_: object) -> str:
        return ""


@pytest.mark.parametrize("text", ["plain", "Grüße", "東京 👋🏽 a", "\ufffd", ""])
def test_a_character_comes_once_it_is_whole(text: str) -> None:
    made = Detokenizer(Bytes(), frozenset({256}))
    pieces = [made.push(id_) for id_ in (*text.encode(), 256)]

    assert "".join(pieces) + made.flush() == text
    assert all("\ufffd" not in piece for piece in pieces if text != "\ufffd")


def test_bytes_that_are_no_character_are_told_at_last() -> None:
    made = Detokenizer(Bytes(), frozenset())
    assert [made.push(id_) for id_ in "é".encode()[:1]] == [""]
    assert made.flush() == "\ufffd"

    made = Detokenizer(Bytes(), frozenset())
    told = "".join(made.push(0xFF) for _ in range(20)) + made.flush()
    assert told == "\ufffd" * 20


def test_what_stands_before_says_how_a_token_is_written() -> None:
    class Words(Bytes):
        def decode(self, ids: Sequence[int]) -> str:
            return super().decode(ids).removeprefix(" ")

    assert Detokenizer(Words(), frozenset()).push(ord(" ")) == ""
    assert Detokenizer(Words(), frozenset(), list(b"ab")).push(ord(" ")) == " "


@pytest.mark.parametrize(
    ("stops", "text", "told", "stop"),
    [
        ((), "abc", "abc", None),
        (("",), "abc", "abc", None),
        (("b",), "abc", "a", "b"),
        (("cd", "bc"), "abcd", "a", "bc"),
        (("abcd", "c"), "abcd", "ab", "c"),
        (("aab",), "aaaab", "aa", "aab"),
        (("abd",), "ababc", "ababc", None),
        (("\n\nUser:",), "Hi\n\nUse of it\n\nUser: x", "Hi\n\nUse of it", "\n\nUser:"),
    ],
)
def test_a_stop_string_is_found_however_the_text_is_cut(
    stops: tuple[str, ...], text: str, told: str, stop: str | None
) -> None:
    for size in range(1, len(text) + 1):
        seeker = StopStrings(stops)
        made, found = "", None
        for start in range(0, len(text), size):
            part, found = seeker.push(text[start : start + size])
            made += part
            if found is not None:
                break
        if size == 1:  # in larger parts one that ends later may be found beside it
            assert found == stop
        assert made + ("" if found else seeker.flush()) == told
