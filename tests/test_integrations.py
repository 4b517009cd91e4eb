"""The integrations are users of textmill like any other: they reach for its public names only."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "integrations"
FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = ("textmill", "textmill.contract", "textmill.compat")
"""What library.md names."""


def _normal(requirement: str) -> str:
    """The name of a distribution, as PyPI compares them."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


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


PROJECTS = sorted(ROOT.glob("*/pyproject.toml"))
DISTRIBUTIONS = {module: set(map(_normal, names)) for module, names in metadata.packages_distributions().items()}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda file: file.parent.name)
def test_each_is_a_distribution_that_is_whole(project: Path) -> None:
    packages = {file.parent for file in project.parent.rglob("__init__.py")}

    assert packages
    assert all((package / "py.typed").exists() for package in packages)
    assert (project.parent / "LICENSE").read_bytes() == (ROOT.parent / "LICENSE").read_bytes()
    assert (project.parent / "README.md").exists()


@pytest.mark.parametrize("project", PROJECTS, ids=lambda file: file.parent.name)
def test_each_asks_for_what_it_imports_and_for_nothing_else(project: Path) -> None:
    told = tomllib.loads(project.read_text())["project"]
    extras = [each for some in told.get("optional-dependencies", {}).values() for each in some]
    asked, more = set(map(_normal, told["dependencies"])), set(map(_normal, extras))
    imported = {module for file, tree in TREES.items() if file.is_relative_to(project.parent) for module in roots(tree)}
    imported -= {path.name for path in project.parent.iterdir()} - {"llama_index"}

    makers = {module: DISTRIBUTIONS.get(module, {module}) for module in imported}  # of textmill here, it is its name
    assert "textmill" in asked
    assert [module for module, names in makers.items() if not names & (asked | more)] == []
    assert asked - set().union(*makers.values()) == set()


def roots(tree: ast.AST) -> Iterator[str]:
    """The modules of others that a program imports, by their first names."""
    for node in ast.walk(tree):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from {each.partition(".")[0] for each in modules} - sys.stdlib_module_names
