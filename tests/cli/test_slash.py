from __future__ import annotations

import pytest

from textmill.cli.slash import COMMANDS, HELP, Slash, read_slash
from textmill.errors import InvalidInput


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("turn", "turn"),
        (" /help", " /help"),
        ("//help", "/help"),
        ("/help\nme", "/help\nme"),
        ("/help", Slash("help")),
        ("/system  Be brief. ", Slash("system", "Be brief.")),
        ("/system", Slash("system")),
        ("/save my file.json", Slash("save", "my file.json")),
    ],
)
def test_a_line_is_a_message_or_a_command(line: str, expected: Slash | str) -> None:
    assert read_slash(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/regen", "no command /regen; did you mean /regenerate"),
        ("/", "there is no command /; /help has"),
        ("/save", "/save needs a FILE"),
        ("/clear all", "/clear takes nothing"),
    ],
)
def test_a_command_that_is_none_is_told(line: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_slash(line)


def test_every_command_is_in_the_help() -> None:
    assert [name for name in COMMANDS if f"/{name}" not in HELP] == []
