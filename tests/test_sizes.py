"""A file is one noun and fits on a few screens."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    file
    for folder in ("src", "tests", "bench", "scripts", "integrations")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
MODULES = [file for file in FILES if file.is_relative_to(ROOT / "src") and file.name != "__init__.py"]

FILE_LINES = 500
FUNCTION_LINES = 60
MEDIAN_FILE_LINES = 120
BANNED = ("utils", "helpers", "common", "misc", "base", "manager")


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_no_file_is_too_long() -> None:
    assert [(name_of(file), lines(file)) for file in FILES if lines(file) > FILE_LINES] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_function_is_too_long(file: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES} == {}


def test_most_modules_are_short() -> None:
    assert median(map(lines, MODULES)) <= MEDIAN_FILE_LINES


def test_no_name_says_that_its_file_is_a_drawer() -> None:
    assert [name_of(file) for file in FILES if file.stem.lstrip("_").startswith(BANNED)] == []
