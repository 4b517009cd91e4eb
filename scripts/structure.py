"""Write the list of modules in docs/structure.md from the first lines of their docstrings. `make fix` runs it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/textmill"
INTEGRATIONS = ROOT / "integrations"
PAGE = ROOT / "docs/structure.md"
HEADING = "## Modules\n\n"
ROOMS = (
    *(
        "cli",
        "compat",
        "http",
        "grpc",
        "store",
        "gallery",
        "providers",
        "tasks",
        "engine",
        "cache",
        "runtimes",
        "checkpoint",
        "arch",
        "folder",
        "prompting",
    ),
    *("config", "telemetry", "contract", "typed", "errors", "testing"),
)


def modules() -> list[str]:
    """A line for each module, room after room from the top, then those of the integrations."""
    lines = []
    for room in ROOMS:
        single = PACKAGE / f"{room}.py"
        files = [single] if single.exists() else sorted((PACKAGE / room).rglob("[!_]*.py"))
        lines += [f"- `{file.relative_to(PACKAGE)}`: {promise(file)}\n" for file in files]
    others = sorted(INTEGRATIONS.rglob("*.py"))
    return lines + [f"- `{file.relative_to(ROOT)}`: {promise(file)}\n" for file in others if promise(file)]


def promise(file: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def main() -> None:
    """Replace what stands below the heading."""
    head, heading, _ = PAGE.read_text().partition(HEADING)
    PAGE.write_text(head + heading + "".join(modules()))


if __name__ == "__main__":
    main()
