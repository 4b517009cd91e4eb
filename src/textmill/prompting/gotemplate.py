"""Templates of Go's text/template with Sprig's functions, as LocalAI's model files have them.

A template is pure: it reads no file, no clock and no environment, and it ends, since what it may do is bounded
(`textmill.prompting.limits`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textmill.prompting import nodes
from textmill.prompting.evaluator import Evaluator
from textmill.prompting.functions import FUNCTIONS, REFUSED
from textmill.prompting.parser import parse
from textmill.prompting.values import Value


@dataclass(frozen=True, slots=True)
class GoTemplate:
    """A template that was read: ``name`` is what errors call it, ``source`` its text."""

    name: str
    source: str
    bodies: Mapping[str, nodes.Body]

    @classmethod
    def read(cls, source: str, name: str = "template") -> GoTemplate:
        """The template of a text.

        Raises:
            TemplateBroken: It is not a template, with the place and what to do about it.

        """
        return cls(name, source, parse(name, source, FUNCTIONS, REFUSED))

    def fill(self, data: Value) -> str:
        """The text that it makes of the data, which ``.`` and ``$`` stand for. Thread-safe.

        Raises:
            TemplateBroken: It cannot be filled with these data, or takes more than a template may.

        """
        return Evaluator(self.name, self.source, self.bodies).run(data)
