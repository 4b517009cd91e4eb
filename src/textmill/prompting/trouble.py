"""How a template's faults are told: where it is, what is wrong there, and what to do."""

from __future__ import annotations

from textmill.errors import TemplateBroken


class Trouble(Exception):
    """A fault whose place is not known yet: a function met an argument that it cannot take."""


def broken(name: str, source: str, pos: int, sentence: str) -> TemplateBroken:
    """The error about what stands at an index of a template's text. Lines and columns count from 1, columns in characters."""
    line = source.count("\n", 0, pos) + 1
    column = pos - (source.rfind("\n", 0, pos) + 1) + 1
    return TemplateBroken(f"{name}:{line}:{column}: {sentence}", template=name, line=line, column=column)
