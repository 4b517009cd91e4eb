"""What is wrong in a models folder: which file, line and key, and one sentence for the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An ``error`` keeps a model from being served, a ``warning`` does not.

    ``line`` counts from 1, 0 where a file has no lines or cannot be read; ``key`` is dotted, such as ``parameters.top_k``, and
    empty where none is to blame. ``sentence`` repeats no value that could be a secret. ``model`` is the name of the entry, empty where it
    has none.
    """

    level: Level
    file: Path
    line: int
    key: str
    sentence: str
    model: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {self.key}: {self.sentence}" if self.key else f"{place}: {self.sentence}"


@dataclass(slots=True)
class Problems:
    """The problems of one file, or of one entry in it, as they are found."""

    file: Path
    found: list[Problem] = field(default_factory=list)
    model: str = ""

    def error(self, line: int, key: str, sentence: str) -> None:
        """Note what keeps the model from being served."""
        self.found.append(Problem("error", self.file, line, key, sentence, self.model))

    def warn(self, line: int, key: str, sentence: str) -> None:
        """Note what the model is served in spite of."""
        self.found.append(Problem("warning", self.file, line, key, sentence, self.model))

    def call(self, model: str) -> None:
        """Say which model all of them are of."""
        self.model = model
        self.found = [replace(problem, model=model) for problem in self.found]

    @property
    def failed(self) -> bool:
        """Whether one of them is an error."""
        return any(problem.level == "error" for problem in self.found)
