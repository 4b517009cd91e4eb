"""A conversation with a model: typed into a terminal, or from lines that come by a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import click

from textmill.cli.answering import Answer, hear
from textmill.cli.dialogue import Dialogue, write_conversation
from textmill.cli.prompt_line import PromptLine
from textmill.cli.slash import HELP, Slash, read_slash
from textmill.cli.voice import TerminalVoice, Voice
from textmill.cli.writing import Opened
from textmill.contract import ChatOptions
from textmill.errors import InvalidInput, TextmillError


@dataclass(frozen=True, slots=True)
class Manner:
    """How answers are asked for and shown: with a line of ``stats`` on standard error, with reasoning or without."""

    options: ChatOptions
    stats: bool = False
    reasoning: bool = True


class Talk:
    """Asks a model, and keeps what both say."""

    def __init__(self, opened: Opened, dialogue: Dialogue, manner: Manner, voice: Voice) -> None:
        self._opened = opened
        self._manner = manner
        self._voice = voice
        self.dialogue = dialogue

    def answer(self) -> Answer:
        """Have the model answer the last message, which the dialogue then has with its answer.

        Where KeyboardInterrupt ends it, the dialogue has what came so far, if anything did. Raises what the model does; the dialogue
        is then as it was.
        """
        answer = Answer()
        events = self._opened.model.chat(self.dialogue.messages, self._manner.options)
        try:
            self._opened.runner.run(hear(events, answer, self._voice, thoughts=self._manner.reasoning))
        except KeyboardInterrupt:
            self._keep(answer)
            raise
        self._keep(answer)
        if answer.reason == "length" and self._manner.options.max_tokens is None:
            click.echo("textmill: the answer was cut where the model's context ends", err=True)
        return answer

    def _keep(self, answer: Answer) -> None:
        answer.over = answer.over or time.perf_counter()  # a second Ctrl-C may leave it under way
        if answer.text or answer.reason is not None:
            self.dialogue.answered(answer.text, answer.reasoning)
        self._voice.end()
        if self._manner.stats:
            click.echo(answer.stats, err=True)


def talk_by_lines(talk: Talk, messages: Iterable[str]) -> None:
    """Answer each message, and before them all what was left without an answer; the first error ends it, and so does Ctrl-C."""
    if talk.dialogue.unanswered:
        talk.answer()
    for message in messages:
        if message.strip():
            talk.dialogue.ask(message)
            talk.answer()


class Session:
    """A conversation at a terminal, until it is ended."""

    def __init__(self, talk: Talk, line: PromptLine, voice: TerminalVoice) -> None:
        self._talk = talk
        self._line = line
        self._voice = voice

    def run(self) -> None:
        """Read, answer, and again."""
        if self._talk.dialogue.unanswered:
            self._answer()
        try:
            while self._turn():
                pass
        except EOFError:
            click.echo()
        finally:
            self._line.save()

    def _turn(self) -> bool:
        """One message or command; whether there may be another."""
        try:
            typed = read_slash(self._line.read())
            if isinstance(typed, Slash):
                return self._command(typed)
        except TextmillError as error:
            self._tell(error)
            return True
        if typed.strip():
            self._talk.dialogue.ask(typed)
            self._answer()
        return True

    def _answer(self) -> None:
        """Answer the last message; one that cannot be answered, or was stopped before a word came, is taken back."""
        if not self._answered():
            self._talk.dialogue.take_back()

    def _answered(self) -> bool:
        """Whether the dialogue has an answer to its last message now; says why where it has none."""
        before = len(self._talk.dialogue.messages)
        try:
            self._talk.answer()
        except KeyboardInterrupt:
            self._voice.note("stopped")
        except TextmillError as error:
            self._voice.end()
            self._tell(error)
        return len(self._talk.dialogue.messages) > before

    def _command(self, slash: Slash) -> bool:
        dialogue = self._talk.dialogue
        match slash.name:
            case "exit":
                return False
            case "help":
                self._voice.note(HELP)
            case "clear":
                dialogue.clear()
            case "system":
                self._system(slash.rest)
            case "save":
                write_conversation(slash.rest, dialogue.messages)
                self._voice.note(f"{len(dialogue.messages)} messages are in {slash.rest}")
            case "regenerate":
                self._regenerate()
        return True

    def _system(self, text: str) -> None:
        dialogue = self._talk.dialogue
        if text:
            dialogue.system = "" if text == "-" else text
        self._voice.note(f"system prompt: {dialogue.system}" if dialogue.system else "there is no system prompt")

    def _regenerate(self) -> None:
        dialogue = self._talk.dialogue
        before = dialogue.again()
        if before is None:
            msg = "there is no answer yet to make anew"
            raise InvalidInput(msg)
        if not self._answered():
            dialogue.put_back(before)

    def _tell(self, error: TextmillError) -> None:
        self._voice.note(f"error: {error}")
