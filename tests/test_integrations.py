"""The integrations are users of textmill like any other: they reach for its public names only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "integrations"
FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = ("textmill", "textmill.contract", "textmill.compat")
"""What library.md names."""


# Read while tests are collected: in one of them, the garbage of others may be collected meanwhile, which Python 3.11's parser takes ill.
TREES = {file: ast.parse(file.read_text()) for file in FILES}


def strangers(tree: ast.AST) -> Iterator[str]:
    """What a program takes of textmill that is not public."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("textmill."))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "textmill":
            module = node.module or ""
            known = import_module(module).__all__ if module in PUBLIC else ()
            yield from (f"{module}.{each.name}" for each in node.names if each.name not in known)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "textmill":
            yield from [f"textmill.{node.attr}"] if node.attr not in import_module("textmill").__all__ else []


def test_there_are_integrations() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_integration_takes_public_names_only(file: Path) -> None:
    assert list(strangers(TREES[file])) == []


STRANGE = ast.parse(
    "import textmill.store\nfrom textmill.engine import engine\nfrom textmill import load\ntextmill.errors\n"
)


def test_what_is_not_public_is_found() -> None:
    assert list(strangers(STRANGE)) == ["textmill.store", "textmill.engine.engine", "textmill.errors"]


@pytest.mark.parametrize("name", ["project.dependencies", "py.typed"])
def test_each_is_a_distribution_of_its_own(name: str) -> None:
    for project in ROOT.glob("*/pyproject.toml"):
        if name == "py.typed":
            assert list(project.parent.rglob("py.typed")), project
        else:
            assert '"textmill>=' in project.read_text(), project
