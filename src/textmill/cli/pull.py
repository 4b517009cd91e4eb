"""`textmill pull`: a model's address becomes a model in the models folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.downloads import carry_out, local_address
from textmill.cli.flags import flags
from textmill.cli.galleries import access_of, models_folder, open_gallery
from textmill.cli.logs import start_logging
from textmill.config import GALLERY_OPTIONS, ServeOptions, command_options

if TYPE_CHECKING:
    from textmill.gallery.install import Installed


@click.command()
@click.argument("address")
@click.option("--name", default="", help="What the model is to be called; by default as its file or repository is.")
@click.option("--variant", default="", help="Part of the name of the GGUF file that is wanted, such as Q8_0.")
@click.option("--sha256", default="", help="What the file's sha256 must be, in hex.")
@flags(ServeOptions, only=GALLERY_OPTIONS)
def pull(address: str, *, name: str, variant: str, sha256: str, **given: Any) -> None:
    """Download a model into the models folder, where `textmill serve` finds it.

    ADDRESS is owner/repo or owner/repo/file of the hub, also as hf:// or huggingface://, a URL, github:owner/repo/file@branch,
    ollama://name:tag, oci://registry/repository:tag, a file of this machine, or the name of a gallery's model. A download that
    was cut off goes on where it was.
    """
    start_logging("info", "text")
    install(address, command_options(ServeOptions, given), name=name, variant=variant, sha256=sha256)


def install(what: str, options: ServeOptions, *, name: str, variant: str, sha256: str = "") -> None:
    """Install, and say what has come of it. Errors are those of `textmill.gallery.gallery.Gallery.carry_out`."""
    from textmill.gallery.install import Installed  # noqa: PLC0415 - with the gallery
    from textmill.gallery.wish import wish_for  # noqa: PLC0415

    address, folders = local_address(what)
    wish = wish_for(address, access_of(options), name=name, variant=variant, sha256=sha256)
    gallery = open_gallery(options, folders)
    try:
        gallery.sweep()
        made = carry_out(gallery, wish)
    finally:
        gallery.close()
    if isinstance(made, Installed):
        click.echo(told(made, options))


def told(made: Installed, options: ServeOptions) -> str:
    """What was installed, and how to serve it, or why it cannot be served."""
    from textmill.gallery.logged import human  # noqa: PLC0415

    folder = models_folder(options)
    size = sum(path.stat().st_size for path in made.files)
    what = f" with {human(size)} in {_listed(made.files, folder.path)}" if made.files else ""
    lines = [f"installed {made.name} as {os.path.relpath(made.config)}{what}"]
    model = folder.find(made.name)
    why = "; ".join(str(problem) for problem in folder.broken(made.name)) if model is None else model.refusal
    if model is None or why:
        return "\n".join((*lines, f"it cannot be served yet: {why or 'its file is not read'}"))
    at = "" if options.models_path == ServeOptions().models_path else f" --models-path {options.models_path}"
    return "\n".join((*lines, f"serve it: textmill serve{at}, and name {made.name} in requests"))


def _listed(files: tuple[Path, ...], folder: Path) -> str:
    names = [os.path.relpath(path.absolute(), folder) for path in files]
    return names[0] if len(names) == 1 else f"{len(names)} files"
