"""`textmill models`: what is in the models folder and in the galleries, what each model is, installing and deleting."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.flags import flags
from textmill.cli.galleries import models_folder, open_gallery
from textmill.cli.logs import start_logging
from textmill.cli.pull import install as install_model
from textmill.config import GALLERY_OPTIONS, ServeOptions, command_options
from textmill.errors import ModelNotFound

if TYPE_CHECKING:
    from textmill.cli.rows import Row
    from textmill.folder.model import Folder

_OPTIONS = flags(ServeOptions, only=GALLERY_OPTIONS)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group("models")
def installed() -> None:
    """List, show, install and delete models of the models folder."""


@installed.command("list")
@click.argument("text", required=False, default="")
@click.option("--available", is_flag=True, help="Models that the galleries have, instead of those in the folder.")
@_JSON
@_OPTIONS
def list_models(text: str, *, available: bool, as_json: bool, **given: Any) -> None:
    """List the models of the folder, or with --available those of the galleries; of all, those with TEXT in their names."""
    start_logging("warning", "text")
    options = command_options(ServeOptions, given)
    from textmill.cli.rows import entry_rows, model_rows  # noqa: PLC0415 - not every command lists

    if available:
        gallery = open_gallery(options)
        entries, problems = gallery.available()
        gallery.close()
        rows, told = entry_rows(entries), [problem.sentence for problem in problems]
    else:
        folder = models_folder(options)
        rows, told = model_rows(folder, options.cache_dir), [str(problem) for problem in folder.problems]
    _print_rows([row for row in rows if text.lower() in row["name"].lower()], as_json=as_json)
    for sentence in told:
        click.echo(f"textmill: {sentence}", err=True)
    if available and told and not rows:
        sys.exit(1)  # that no gallery could be read is no empty list


@installed.command("show")
@click.argument("name")
@_JSON
@_OPTIONS
def show_model(name: str, *, as_json: bool, **given: Any) -> None:
    """Say what NAME is: its file, weights and engine, what it can do and why, and what is wrong with it."""
    start_logging("warning", "text")
    options = command_options(ServeOptions, given)
    from textmill.cli.rows import details  # noqa: PLC0415 - as above

    folder = models_folder(options)
    model = folder.find(name)
    if model is None and not folder.broken(name):
        raise ModelNotFound(_unknown(name, folder))
    facts = details(folder, name, model, options.cache_dir)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        for index, line in enumerate(value if isinstance(value, list) else [value]):
            click.echo(f"{'' if index else key:{width}}  {line}")


@installed.command("install")
@click.argument("what")
@click.option(
    "--name", default="", help="What the model is to be called; by default as the gallery or its file has it."
)
@click.option("--variant", default="", help="One of the entry's variants, or part of the name of a GGUF file.")
@_OPTIONS
def install(what: str, *, name: str, variant: str, **given: Any) -> None:
    """Install WHAT: a gallery's model by name or as gallery@name, or an address as `textmill pull` takes it."""
    start_logging("info", "text")
    install_model(what, command_options(ServeOptions, given), name=name, variant=variant)


@installed.command("rm")
@click.argument("name")
@_OPTIONS
def remove(name: str, **given: Any) -> None:
    """Delete NAME: its model file, and those of its files that no other model uses."""
    start_logging("info", "text")
    options = command_options(ServeOptions, given)
    from textmill.gallery.remove import Removed  # noqa: PLC0415 - as above
    from textmill.gallery.wish import Wish  # noqa: PLC0415

    gallery = open_gallery(options)
    try:
        made = gallery.carry_out(Wish(delete=name))
    except ModelNotFound as error:
        raise ModelNotFound(_unknown(name, models_folder(options))) from error
    finally:
        gallery.close()
    if isinstance(made, Removed):
        click.echo(f"deleted {', '.join(made.files) or name}")
        if made.kept:
            click.echo(f"kept {', '.join(made.kept)}, which other models use")


def _unknown(name: str, folder: Folder) -> str:
    near = folder.near(name)
    hint = f"; did you mean {near}?" if near else "; `textmill models list` has those there are"
    return f"{folder.path} has no model {name!r}{hint}"


def _print_rows(rows: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no models; `textmill pull ADDRESS` installs one", err=True)
        return
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in rows[0]:
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for row in rows:
        table.add_row(*(Text(", ".join(value) if isinstance(value, list) else str(value)) for value in row.values()))
    # Cut at the width of a terminal only; a pipe gets whole lines.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000).print(table)
