"""import-linter, in `make check`, locks the doors between rooms; here, that no room is left out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}

# testing is for tests of every room and may import them all; the doors are about the others.
WITHOUT_A_DOOR = {"__init__", "__main__", "testing"}


def rooms() -> set[str]:
    names = {
        path.stem
        for path in (ROOT / "src/textmill").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    return {f"textmill.{name}" for name in names - WITHOUT_A_DOOR}


def test_every_room_has_its_place_among_the_layers() -> None:
    layers = CONTRACTS["doors open downwards only"]["layers"]

    assert {name.strip() for layer in layers for name in layer.split("|")} == rooms()


def test_no_room_but_the_runtimes_may_import_a_framework() -> None:
    locked = set(CONTRACTS["frameworks stay in their rooms"]["source_modules"])

    assert rooms() - locked == {"textmill.runtimes"}
    assert "textmill.runtimes.runtime" in locked


def test_no_room_imports_the_fakes() -> None:
    assert set(CONTRACTS["the shipped fakes serve tests only"]["source_modules"]) == rooms()


def test_opentelemetry_is_known_in_its_file_only() -> None:
    locked = set(CONTRACTS["OpenTelemetry stays in its file"]["source_modules"])
    files = {f"textmill.telemetry.{file.stem}" for file in (ROOT / "src/textmill/telemetry").glob("[!_]*.py")}

    assert rooms() - locked == {"textmill.telemetry"}
    assert files - locked == {"textmill.telemetry.otlp"}


@pytest.mark.parametrize(("own", "other"), [("PyTorch", "OpenVINO"), ("OpenVINO", "PyTorch")])
def test_each_runtime_is_kept_from_every_file_of_the_other(own: str, other: str) -> None:
    kept_from = set(CONTRACTS[f"the runtime of {own} does not know {other}'s"]["forbidden_modules"])
    files = set(CONTRACTS[f"the runtime of {other} does not know {own}'s"]["source_modules"])

    assert files <= kept_from
