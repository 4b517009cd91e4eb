"""What a template may spend, so that none runs without end or fills the memory."""

from __future__ import annotations

from textmill.prompting.trouble import Trouble

MOST_SOURCE = 1 << 18
"""Characters of a template."""

MOST_NESTING = 64
"""Levels of blocks, parentheses, calls of templates, and values within values."""

MOST_VARIABLES = 500
"""Variables that can be seen at one place."""

MOST_STEPS = 200_000
"""Actions, commands, rounds of a loop and values looked at while a template is filled."""

MOST_CHARACTERS = 1 << 25
"""Characters that functions and the output have together."""


class Budget:
    """What one filling of a template has spent."""

    def __init__(self) -> None:
        self._steps = 0
        self._characters = 0

    def step(self, count: int = 1) -> None:
        """Count work.

        Raises:
            Trouble: It is more than a template may do.

        """
        self._steps += count
        if self._steps > MOST_STEPS:
            msg = f"the template takes more than {MOST_STEPS:,} steps; it loops too often or over too much"
            raise Trouble(msg)

    def write(self, count: int) -> None:
        """Count characters, before they are made where they may be many.

        Raises:
            Trouble: They are more than a template may make.

        """
        self._characters += count
        if self._characters > MOST_CHARACTERS:
            msg = f"the template makes more than {MOST_CHARACTERS:,} characters; it repeats too much"
            raise Trouble(msg)
