"""`textmill embed`: files of texts become files of vectors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from textmill import __version__
from textmill.cli.named import named_flags, opened
from textmill.cli.stream import stream
from textmill.cli.vectors import BINARY, FORMATS, output
from textmill.contract import USUAL, EmbedOptions, ModelInfo
from textmill.errors import ConfigInvalid
from textmill.tasks.sides import side_prompt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

_HOW = ("prompt", "prompt_name", "kind", "dimensions", "normalize", "truncate")

_AS_THEY_COME = ("external", "remote", "vllm")
"""Runtimes whose vectors are not scaled here where nothing says so."""

_log = logging.getLogger(__name__)


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="jsonl", show_default=True, help="Form of the output."
)
@click.option(
    "--output", "-o", "target", default="-", metavar="FILE", help="Where to write; by default standard output."
)
@click.option("--prompt", metavar="TEXT", help='Put in front of each text; "" for none.')
@click.option("--prompt-name", metavar="NAME", help="One of the model's own prompts, such as query.")
@click.option(
    "--kind",
    type=click.Choice(["query", "document"]),
    help="Take the model's own prompt, or its service's role, for that side of a search, where it has one.",
)
@click.option("--dimensions", type=click.IntRange(min=1), metavar="N", help="Keep the first N values of each vector.")
@click.option(
    "--normalize/--no-normalize",
    default=None,
    help="Scale vectors to unit length (the default where neither a model file nor a service says otherwise), or leave them.",
)
@click.option(
    "--truncate/--no-truncate", default=True, help="Cut texts that are too long (the default), or refuse them."
)
@named_flags
def embed(model: str, files: tuple[str, ...], form: str, target: str, **given: Any) -> None:
    """Embed the lines of FILEs, one text a line, with MODEL; - or no file is standard input.

    MODEL is a name of the models folder, also of a model on a server elsewhere, or else a folder or an id of the hub.

    The output has one vector for every line, in order: an empty line is an empty text. The formats: jsonl, an object with
    index and embedding a line; json, one array of arrays; npy, one float32 array of shape (lines, dimensions); safetensors, such
    an array named embeddings with the model, its fingerprint and the prompt in the file's head.
    """
    files = files or ("-",)
    if form in BINARY and target == "-" and sys.stdout.isatty():
        msg = f"{form} is binary and standard output is a terminal; add --output FILE"
        raise ConfigInvalid(msg)
    how = {name: given.pop(name) for name in _HOW}
    # A bar between lines of output on the same terminal would help nobody.
    bar = target != "-" or not sys.stdout.isatty()
    with output(target) as sink, opened(model, given) as used:  # the output first, since loading takes longer
        asked = EmbedOptions(**how)
        writer = FORMATS[form](sink, facts_of(used.model.info, asked))
        cut = 0

        def compute(texts: Sequence[str]) -> Vectors:
            nonlocal cut
            made = used.run(used.model.embed_inputs(texts, asked))
            cut += sum(made.truncated)
            return made.vectors

        stream("embed", compute, files, writer.write, bar=bar)
        writer.finish()
        if cut:
            limit = used.model.info.max_tokens
            _log.warning("%d texts had more than %d tokens and were cut; --no-truncate refuses them", cut, limit)


def facts_of(info: ModelInfo, asked: EmbedOptions) -> Mapping[str, str]:
    """What made the vectors of a model, for the head of their file; what there is none of is left out."""
    prompt_name = _prompt_name(info, asked)
    facts = {
        "model": info.source,
        "revision": info.revision,
        "fingerprint": info.fingerprint,
        "prompt": asked.prompt,
        "prompt_name": prompt_name if asked.prompt is None else None,
        "dimensions": str(asked.dimensions or info.dimensions),
        "normalized": _normalized(info, asked),
        "dtype": info.dtype,
        "runtime": info.runtime,
        "textmill": __version__,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _normalized(info: ModelInfo, asked: EmbedOptions) -> str | None:
    """Whether vectors were scaled to unit length; None where they came from elsewhere, which does not say."""
    usual = info.defaults.norm == USUAL.norm
    whole = asked.dimensions is None or asked.dimensions >= info.dimensions  # those that are cut are scaled
    if asked.normalize is None and usual and whole and info.runtime in _AS_THEY_COME:
        return None
    return "true" if asked.normalize or (asked.normalize is None and usual) else "false"


def _prompt_name(info: ModelInfo, asked: EmbedOptions) -> str | None:
    """The name of the prompt in front of the texts, where it has one."""
    if asked.prompt is not None or asked.prompt_name is not None:
        return asked.prompt_name
    side = None if asked.kind is None else side_prompt(info.prompts, asked.kind)
    return side or info.default_prompt
