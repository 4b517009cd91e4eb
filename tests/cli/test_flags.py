from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from textmill.cli import main
from textmill.cli.flags import Grouped, flags, spellings
from textmill.config import ServeOptions
from textmill.config.option import options_of
from textmill.config.serving import TABLES
from textmill.errors import ConfigInvalid


def given(*arguments: str) -> dict[str, Any]:
    """What a command with the flags of ServeOptions and TEI's is called with."""
    seen: dict[str, Any] = {}

    @click.command(cls=Grouped)
    @click.argument("models", nargs=-1)
    @flags(ServeOptions, without=("models",))
    @spellings(*TABLES)
    def command(**values: Any) -> None:
        seen.update(values)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen


def test_every_option_is_a_flag_that_is_not_given_by_default() -> None:
    names = {option.name for option in options_of(ServeOptions)} | {
        each.parameter for table in TABLES for each in table.spellings if each.own
    }
    several = (
        "models",
        "load",
        "preload",
        "galleries",
        "download_host",
        "admin_key",
        "external_grpc_backends",
        "api_key",
        "admin_key",
        "external_grpc_backends",
        "python_models",
        "expect_fingerprint",
        "cors_origin",
        "model_id",
        "cors_allow_origin",
    )

    assert given() == dict.fromkeys(names) | dict.fromkeys(several, ())


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--max-batch-tokens", "9"], "max_batch_tokens", "9"),
        (["--offline"], "offline", True),
        (["--no-offline"], "offline", False),
        (["--api-key", "a", "--api-key", "b"], "api_key", ("a", "b")),
        (["-p", "9"], "port", "9"),
        (["-p9"], "port", "9"),
        (["--auto-truncate"], "auto_truncate", True),
        (["--auto-truncate", "true"], "auto_truncate", True),
        (["--auto-truncate", "false"], "auto_truncate", False),
        (["--auto-truncate=false"], "auto_truncate", False),
        (["--auto-truncate=1"], "auto_truncate", True),
        (["--auto-truncate", "model"], "models", ("model",)),
        (["--auto-truncate", "--port", "9"], "port", "9"),
        (["--", "--auto-truncate"], "models", ("--auto-truncate",)),
        (["--model-id", "a", "--model-id", "b"], "model_id", ("a", "b")),
        (["--json-output"], "json_output", True),
        (["--hf-api-token", "t"], "hf_api_token", "t"),
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


def test_a_switch_takes_no_other_value() -> None:
    with pytest.raises(ConfigInvalid, match="--auto-truncate has an impossible value 'perhaps'"):
        given("--auto-truncate=perhaps")


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("command", ["serve", "tei"])
def test_the_help_has_every_flag_under_a_heading_and_fits(command: str, columns: int) -> None:
    shown = CliRunner().invoke(main, [command, "--help"], terminal_width=columns).output
    headings = re.findall(r"^(\w.*):$", shown, re.MULTILINE)

    assert {option.group for option in options_of(ServeOptions)} < set(headings)
    others = ["As Text Embeddings Inference spells it"] + ["As LocalAI spells it"] * (command == "serve")
    assert headings[-len(others) - 1 :] == [*others, "Others"]
    assert [line for line in shown.splitlines() if len(line) > columns] == []
    assert "--hf-api-token" not in shown


def test_the_help_of_tei_shows_its_defaults() -> None:
    shown = CliRunner().invoke(main, ["tei", "--help"], terminal_width=100).output

    assert "[default: 3000]" in shown
    assert "[default: 0.0.0.0]" in re.sub(r"\s+", " ", shown)
    assert "8080" not in shown


def test_secrets_of_the_environment_are_not_in_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEXTMILL_API_KEY", "API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "s3cret")

    for command in ("serve", "tei"):
        assert "s3cret" not in CliRunner().invoke(main, [command, "--help"]).output


@pytest.mark.parametrize(
    "arguments", [["--api-kee=s3cret"], ["--api_key", "s3cret"], ["--port=x", "--api-key", "s3cret"], ["--api-key"]]
)
def test_a_wrong_command_line_does_not_repeat_a_secret(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])

    assert result.exit_code in (1, 2)
    assert "s3cret" not in result.output + result.stderr
