"""`textmill complete`: what comes behind a prompt, or behind each of many."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import click

from textmill.cli.answering import Answer, hear
from textmill.cli.flags import Grouped
from textmill.cli.lines import lines
from textmill.cli.sampling import sampled, sampling_flags
from textmill.cli.vectors import output
from textmill.cli.voice import Voice, speaks_to_terminal, voice
from textmill.cli.writing import Opened, model_flags, opened
from textmill.contract import CompleteOptions, Event, Piece, Spent
from textmill.errors import TextmillError

_BETWEEN = "---\n"


@click.command(cls=Grouped)
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--n", type=click.IntRange(1, 128), default=1, show_default=True, metavar="N", help="How many texts.")
@click.option("--stats", is_flag=True, help="Behind the text, a line with tokens and tokens/s on standard error.")
@click.option(
    "--lines", "files", multiple=True, metavar="FILE|-", help="Each line of that file is a prompt; an object for each."
)
@click.option(
    "--jsonl",
    "objects",
    multiple=True,
    metavar="FILE|-",
    help="The same with JSON lines: a text, or an object with prompt.",
)
@click.option(
    "--output", "-o", "target", default="-", metavar="FILE", help="Where those go; by default standard output."
)
@sampling_flags
@model_flags
def complete(
    model: str,
    prompt: str | None,
    *,
    n: int,
    stats: bool,
    files: tuple[str, ...],
    objects: tuple[str, ...],
    target: str,
    **given: Any,
) -> None:
    """Write what comes behind PROMPT, or behind all of standard input, with MODEL, as it comes.

    MODEL is one of the models folder, a .gguf file, a folder, or with --url one of a running server. With --lines or --jsonl there are
    many prompts, and an object a line for each: index, text, finish_reason and usage, or error.
    """
    many = bool(files or objects)
    if (many and prompt is not None) or (files and objects):
        msg = "give one of PROMPT, --lines and --jsonl"
        raise click.UsageError(msg)
    if target != "-" and not many:
        msg = "--output is for the objects of --lines and --jsonl"
        raise click.UsageError(msg)
    options = CompleteOptions(n=n, **sampled(given))
    if not many:
        text = "\n".join(each for each, _ in lines(("-",))) if prompt is None else prompt
        with opened(model, "complete", given) as writer:
            _write(writer, text, options, stats=stats)
        return
    from textmill.cli.prompts import answer_all, prompts  # noqa: PLC0415 - only where there are many

    asked = prompts(files or objects, options, plain=bool(files))
    with output(target) as sink, opened(model, "complete", given) as writer:
        failed = answer_all(writer, asked, sink, bar=target != "-" or not speaks_to_terminal())
        sink.flush()
    if failed:
        msg = f"{failed} of the prompts could not be answered; their objects say why"
        raise TextmillError(msg)


def _write(writer: Opened, prompt: str, options: CompleteOptions, *, stats: bool) -> None:
    spoken, answer = voice(), Answer()
    events = writer.model.complete(prompt, options)
    try:
        if options.n == 1:
            writer.runner.run(hear(events, answer, spoken))
        else:
            writer.runner.run(_hear_all(events, options.n, answer, spoken))
    except KeyboardInterrupt:
        spoken.end()
        raise
    spoken.end()
    if stats:
        click.echo(answer.stats, err=True)


async def _hear_all(events: AsyncGenerator[Event], n: int, answer: Answer, spoken: Voice) -> None:
    """Give several choices to the voice, one behind the other, each as it comes as soon as those before it are whole."""
    kept: list[list[str]] = [[] for _ in range(n)]
    whole: set[int] = set()
    now = 0
    answer.begun = time.perf_counter()
    async with aclosing(events):
        async for event in events:
            answer.first = answer.first or time.perf_counter()
            if isinstance(event, Spent):
                answer.spent = event
            elif isinstance(event, Piece) and event.choice != now:
                kept[event.choice].append(event.text)
            elif isinstance(event, Piece):
                spoken.text(event.text)
            else:
                whole.add(event.choice)
            while now in whole and now + 1 < n:
                now += 1
                spoken.end()
                spoken.text(_BETWEEN + "".join(kept[now]))
    answer.over = time.perf_counter()
