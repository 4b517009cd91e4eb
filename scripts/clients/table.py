"""``python -m scripts.clients.table RESULTS...``: what runs of scripts.clients found, as the table of docs/clients.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/clients.md"
HEADING = "| Client | Version | Routes | What was run | Found |\n|---|---|---|---|---|\n"


def table(results: Iterable[Mapping[str, str]]) -> str:
    """A row for each thing that a version of a client was asked to do, by client, version and what it was."""
    rows = {(one["client"], one["version"], one["what"]): one for one in results}
    lines = [
        f"| {one['client']} | {one['version']} | {one['routes']} | {one['what']} | {one['said'].replace('|', ' ')} |\n"
        for _, one in sorted(rows.items())
    ]
    return HEADING + "".join(lines)


def main(files: Iterable[Path]) -> None:
    """Write the table into the page, in place of the one that is there."""
    results = [one for file in files for one in json.loads(file.read_text())]
    before, _, old = PAGE.read_text().partition(HEADING)
    _, _, behind = old.partition("\n\n")
    PAGE.write_text(before + table(results) + (f"\n{behind}" if behind else ""))


if __name__ == "__main__":
    main(map(Path, sys.argv[1:]))
