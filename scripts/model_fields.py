"""Write the tables of fields, options and backends in docs/model-files.md from what textmill reads. `make fix` runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textmill.folder.backend_options import FAMILIES, OPTIONS
from textmill.folder.backends import BACKENDS, missing, names_of
from textmill.folder.described import Described, described

PAGE = Path(__file__).parents[1] / "docs/model-files.md"
HEADING = "## Fields\n"

_RUNS = {
    "gguf": "[llama.cpp](llamacpp.md)",
    "remote": "[a server elsewhere](remote.md)",
    "vllm": "[vLLM](vllm.md)",
    "python": "[an object of your own](custom-models.md)",
}


def page(text: str) -> str:
    """The page with its tables made anew; what stands above the heading stays."""
    head, heading, _ = text.partition(HEADING)
    return head + heading + "".join(f"{line}\n" for line in _tables())


def _tables() -> Iterator[str]:
    yield "\nMade by `scripts/model_fields.py` from the structs that read the files."
    top = [field for field in described() if "." not in field.key]
    yield from _table("Top level", top)
    sections: dict[str, list[Described]] = {}
    for field in described():
        section, _, name = field.key.rpartition(".")
        if section and name:
            sections.setdefault(section, []).append(field)
    for section, fields in sections.items():
        yield from _table(f"`{section}`", fields)
    yield "\n### Entries of `options`\n\n| Key | State | Meaning |\n|---|---|---|"
    for option in OPTIONS:
        yield f"| {_code(option.names)} | {option.state} | {option.means} |"
    for family in FAMILIES:
        yield f"| `{family.names[0]}…` | {family.state} | {family.means} |"
    yield "\n### Backends\n\n| Names | Engine |\n|---|---|"
    engines: dict[str, list[str]] = {}
    for backend in BACKENDS.values():
        engines.setdefault(missing(backend) or _RUNS.get(backend.engine, "textmill's own"), []).extend(
            names_of(backend)
        )
    for engine, names in engines.items():
        yield f"| {_code(names)} | {engine} |"


def _table(title: str, fields: Sequence[Described]) -> Iterator[str]:
    yield f"\n### {title}\n\n| Field | Values | State | Meaning |\n|---|---|---|---|"
    for field in fields:
        yield f"| `{field.key.rpartition('.')[2]}` | {field.kind} | {field.state} | {field.means} |"


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
