from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from textmill import __version__
from textmill.cli import main
from textmill.errors import ModelBroken

Command = Callable[..., Result]


def test_without_a_command_the_help_is_shown(command: Command) -> None:
    shown = command().output

    assert shown.startswith("Usage:")
    assert all(name in shown for name in ("serve", "embed", "bench"))


def test_the_version_is_the_packages(command: Command) -> None:
    assert command("--version").output == f"textmill {__version__}\n"


@pytest.mark.parametrize("name", ["serve", "embed", "bench"])
def test_each_command_explains_its_options(command: Command, name: str) -> None:
    result = command(name, "--help")

    assert result.exit_code == 0
    assert "--dtype auto|float32|bfloat16" in result.output


def run_and_raise(error: BaseException) -> Result:
    """Run a command of the group that raises the error."""

    @click.command("fail")
    def fail() -> None:
        raise error

    group = type(main)("textmill", commands=[fail])
    return CliRunner().invoke(group, ["fail"])


def test_an_error_of_ours_is_one_line_and_exit_code_1() -> None:
    result = run_and_raise(ModelBroken("the folder has no config.json"))

    assert (result.exit_code, result.stderr) == (1, "textmill: error: the folder has no config.json\n")


def test_ctrl_c_is_exit_code_130_without_a_word() -> None:
    result = run_and_raise(KeyboardInterrupt())

    assert (result.exit_code, result.output) == (130, "")


def test_a_bug_keeps_its_traceback() -> None:
    result = run_and_raise(ZeroDivisionError("a bug"))

    assert isinstance(result.exception, ZeroDivisionError)


def test_an_impossible_option_is_refused_in_one_line(command: Command) -> None:
    result = command("embed", "--threads", "none", "model")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("textmill: error: --threads has an impossible value 'none'")
