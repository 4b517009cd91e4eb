"""How text is written: the flags that the commands of models that write have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from textmill.contract import Format, Sampling
from textmill.errors import ConfigInvalid, InvalidInput

Command = TypeVar("Command", bound=Callable[..., Any])


def sampling_flags(command: Command) -> Command:
    """Give a command the flags that `sampled` reads."""
    for add in reversed(_FLAGS):
        command = add(command)
    return command


def sampled(given: dict[str, Any]) -> dict[str, Any]:
    """Take the flags out of what was given: fields of `textmill.contract.GenerateOptions`.

    Raises ConfigInvalid where the file of a schema is none.
    """
    schema = given.pop("json_schema")
    sampling = Sampling(**{name: given.pop(name) for name in ("temperature", "top_p", "seed")})
    return {
        "sampling": sampling,
        "max_tokens": given.pop("max_tokens"),
        "stop": given.pop("stop"),
        "format": None if schema is None else _schema(schema),
    }


_FLAGS = (
    click.option(
        "--temperature", type=click.FloatRange(min=0), metavar="X", help="0 takes the likeliest token each time."
    ),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1),
        metavar="X",
        help="Choose among the likeliest tokens of that share only.",
    ),
    click.option(
        "--max-tokens",
        type=click.IntRange(min=1),
        metavar="N",
        help="Tokens at most; by default up to the context's end.",
    ),
    click.option("--seed", type=int, metavar="N", help="The same seed chooses the same tokens."),
    click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; give several."),
    click.option("--json-schema", metavar="FILE", help="Write JSON that fits the schema in that file."),
)


def _schema(file: str) -> Format:
    import msgspec  # noqa: PLC0415 - with a schema

    from textmill.tasks.schemas import check_schema  # noqa: PLC0415

    try:
        text = Path(file).read_text(encoding="utf-8")
        check_schema(msgspec.json.decode(text, type=dict[str, Any]), "the schema")
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise ConfigInvalid(msg) from None
    except (UnicodeDecodeError, msgspec.DecodeError):
        msg = f"{file} is no JSON object, and so no schema"
        raise ConfigInvalid(msg) from None
    except InvalidInput as error:
        msg = f"{file}: {error}"
        raise ConfigInvalid(msg) from None
    return Format("json_schema", text)
