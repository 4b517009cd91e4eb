"""Write the table of docs/localai-settings.md from the table that `textmill serve` reads. `make fix` runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textmill.config.localai import PREFIX, SPELLINGS
from textmill.config.spelling import Spelling

PAGE = Path(__file__).parents[1] / "docs/localai-settings.md"
HEADING = "## Every name\n"


def page(text: str) -> str:
    """The page with its table made anew; what stands above the heading stays."""
    head, heading, _ = text.partition(HEADING)
    return head + heading + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "\nMade by `scripts/localai_settings.py`. Each variable also works as `LOCALAI_…`; those marked * are read without that only where"
    yield "LocalAI is meant.\n\n| Flag | Variable | Here |\n|---|---|---|"
    rows = {row.name: row for row in SPELLINGS}
    for row in rows.values():
        options = [each.option for each in SPELLINGS if each.name == row.name and each.option]
        flag = f"`{row.flag}`" if row.flag else ""
        yield f"| {flag} | {_variable(row)} | {_here(row, options)} |"


def _variable(row: Spelling) -> str:
    bare = [name for name in row.variables if not name.startswith(PREFIX)]
    return f"`{bare[-1]}`{' *' if row.shared else ''}"


def _here(row: Spelling, options: Sequence[str | None]) -> str:
    if row.refusal:
        return f"refused where it is true: {row.refusal}"
    if not options:
        return "without effect"
    ours = ", ".join(f"`--{str(option).replace('_', '-')}`" for option in options)
    told = "" if row.help.startswith("The same as") or not row.own else f": {_inside(row.help)}"
    return ours + told


def _inside(sentence: str) -> str:
    """A sentence as the rest of another: without its full stop and its capital, unless that begins an abbreviation."""
    first = sentence[0] if sentence[1].isupper() else sentence[0].lower()
    return first + sentence[1:-1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
