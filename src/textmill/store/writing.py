"""The verbs of models that write, which none of our own runtimes' models has: each is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NoReturn

from textmill.contract import ChatOptions, CompleteOptions, Event, Message, Task
from textmill.errors import WrongTask
from textmill.store.verbs import Verbs


class NoWritingVerbs:
    """Raises WrongTask, with what the model can do instead."""

    _verbs: Verbs

    def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """Refused."""
        del messages, options
        self._refuse("chat")

    def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """Refused."""
        del prompt, options
        self._refuse("complete")

    def _refuse(self, verb: Task) -> NoReturn:
        msg = f"this model cannot {verb}; it can {', '.join(self._verbs.tasks)}"
        raise WrongTask(msg)
