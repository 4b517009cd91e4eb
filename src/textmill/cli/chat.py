"""`textmill chat`: a conversation with a model, at a terminal or through a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.flags import Grouped
from textmill.cli.lines import lines
from textmill.cli.sampling import sampled, sampling_flags
from textmill.cli.voice import PipeVoice, TerminalVoice, speaks_to_terminal
from textmill.cli.writing import model_flags, opened
from textmill.config import state_folder
from textmill.contract import ChatOptions

if TYPE_CHECKING:
    from textmill.cli.dialogue import Dialogue


@click.command(cls=Grouped)
@click.argument("model")
@click.option("--system", metavar="TEXT", help="System prompt.")
@click.option("--load", metavar="FILE", help="Go on with a conversation that /save wrote: OpenAI's messages as JSON.")
@click.option("--reasoning/--no-reasoning", default=True, help="Let models reason that do (the default), or not.")
@click.option("--stats", is_flag=True, help="After each answer, a line with tokens and tokens/s on standard error.")
@click.option("--whole", is_flag=True, help="Take all of standard input as one message, in place of each line.")
@click.option("--history/--no-history", default=True, help="Keep the lines that were typed for the next time.")
@sampling_flags
@model_flags
def chat(
    model: str,
    *,
    system: str | None,
    load: str | None,
    reasoning: bool,
    stats: bool,
    whole: bool,
    history: bool,
    **given: Any,
) -> None:
    """Talk with MODEL: a model of the models folder, a .gguf file, a folder, or with --url one of a running server.

    At a terminal, answers come as they are written, Ctrl-C stops one, and /help says what else can be typed. Otherwise each line of
    standard input is a message, and the answers go to standard output.
    """
    from textmill.cli.talk import Manner, Session, Talk, talk_by_lines  # noqa: PLC0415 - only where it is used

    dialogue = _begun(load, system)  # the files first, since loading takes longer
    options = ChatOptions(**sampled(given), reasoning_effort=None if reasoning else "none")
    manner = Manner(options, stats=stats, reasoning=reasoning)
    typed = sys.stdin.isatty() and speaks_to_terminal() and not whole
    with opened(model, "chat", given) as partner:
        if not typed:
            talk_by_lines(Talk(partner, dialogue, manner, PipeVoice()), _messages(whole=whole))
            return
        from textmill.cli.prompt_line import PromptLine  # noqa: PLC0415 - changes how the terminal is read

        voice = TerminalVoice()
        voice.note(f"{partner.name}; /help says what can be typed, Ctrl-D ends")
        line = PromptLine(state_folder() / "chat_history" if history else None)
        Session(Talk(partner, dialogue, manner, voice), line, voice).run()


def _begun(load: str | None, system: str | None) -> Dialogue:
    from textmill.cli.dialogue import Dialogue, read_conversation  # noqa: PLC0415 - only where it is used

    return Dialogue(() if load is None else read_conversation(load), system or "")


def _messages(*, whole: bool) -> Iterator[str]:
    if not whole:
        return (text for text, _ in lines(("-",)))
    return iter(["\n".join(text for text, _ in lines(("-",)))])
