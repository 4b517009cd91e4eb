"""What models write: tokens and times, by model."""

from __future__ import annotations

from collections.abc import Iterator

from textmill.contract import Ended, Spent
from textmill.telemetry.series import counter, histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Writing:
    """The series of all models. Not thread-safe: `Telemetry` holds a lock."""

    def __init__(self) -> None:
        self._prompt = counter("textmill_prompt_tokens_total", "model", text="Tokens of prompts.")
        self._cached = counter(
            "textmill_cached_tokens_total",
            "model",
            text="Of these, those computed before, for a prompt that began the same.",
        )
        self._generated = counter("textmill_generated_tokens_total", "model", text="Tokens written.")
        self._choices = counter(
            "textmill_choices_total", "model", "reason", text="Choices that came to their end, by why."
        )
        self._first = histogram(
            "textmill_first_token_seconds", _SECONDS, "model", text="Time to the first piece of an answer."
        )
        self._each = histogram(
            "textmill_token_seconds", _PER_TOKEN, "model", text="Mean time of a further token of an answer."
        )

    def began(self, model: str, seconds: float) -> None:
        """Count an answer's first piece."""
        self._first.of(model).add(seconds)

    def ended(self, model: str, ended: Ended) -> None:
        """Count a choice."""
        self._choices.of(model, ended.reason).add()

    def spent(self, model: str, spent: Spent, seconds: float) -> None:
        """Count an answer whose tokens took that long from the first on."""
        self._prompt.of(model).add(spent.prompt_tokens)
        self._cached.of(model).add(spent.cached)
        self._generated.of(model).add(spent.completion_tokens)
        if spent.completion_tokens > 1:
            self._each.of(model).add(seconds / (spent.completion_tokens - 1))

    def lines(self) -> Iterator[str]:
        """All of them in the text format."""
        for numbers in (self._prompt, self._cached, self._generated, self._choices):
            yield from numbers.lines()
        for cells in (self._first, self._each):
            yield from cells.lines()
