from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from textmill.cli.flags import flags
from textmill.config import ServeOptions
from textmill.config.option import options_of


def given(*arguments: str) -> dict[str, Any]:
    """What a command with the flags of ServeOptions is called with."""
    seen: dict[str, Any] = {}

    @click.command()
    @flags(ServeOptions, without=("models",))
    def command(**values: Any) -> None:
        seen.update(values)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen


def test_every_option_is_a_flag_that_is_not_given_by_default() -> None:
    names = {option.name for option in options_of(ServeOptions)} - {"models"}

    assert given() == dict.fromkeys(names) | {"api_key": (), "cors_origin": ()}


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--max-batch-tokens", "9"], "max_batch_tokens", "9"),
        (["--offline"], "offline", True),
        (["--no-offline"], "offline", False),
        (["--api-key", "a", "--api-key", "b"], "api_key", ("a", "b")),
    ],
)
def test_flags_arrive_under_the_options_name(arguments: list[str], name: str, value: object) -> None:
    assert given(*arguments)[name] == value


def test_the_commands_own_flags_are_shown_first() -> None:
    @click.command()
    @flags(ServeOptions)
    def command(**_: Any) -> None:
        """Do nothing."""

    shown = CliRunner().invoke(command, ["--help"]).output

    assert shown.index("--host") < shown.index("--port") < shown.index("--revision") < shown.index("--threads")
