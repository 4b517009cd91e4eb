"""Which facts are problems, and what to do about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from textmill.cli.diagnosis import Finding, diagnose
from textmill.cli.setup import Cache, Package, Setup
from textmill.config import ServeOptions, Serving
from textmill.config.surroundings import Cpu, Memory
from textmill.folder.model import Folder
from textmill.folder.scan import scan
from textmill.testing.gguf import write_gguf

CACHE = Cache(Path("/cache"), free=10**11)
FINE = Setup(
    textmill="0",
    python="3",
    platform="Linux",
    cpu=Cpu("Some", ("avx2",), 4),
    threads=2,
    memory=Memory(8 * 10**9, 4 * 10**9, None),
    packages=(Package("openvino", "2026.1"), Package("torch", "", "torch"), Package("grpcio", "", "grpc")),
    cache=CACHE,
)
FOLDER = Folder(Path("/nowhere"))


def found_in(changes: dict[str, object] | None = None, setup: Setup = FINE) -> list[Finding]:
    options = ServeOptions(**changes or {})  # type: ignore[arg-type]
    return diagnose(setup, Serving(options, (), None, origins=dict.fromkeys(changes or {}, "a flag")), FOLDER)


def test_a_setup_without_extras_is_fine() -> None:
    assert found_in() == []


@pytest.mark.parametrize(
    ("changes", "level", "advice"),
    [
        ({"threads": 3}, "warning", "CPU limit"),
        ({"memory_limit": 9000}, "warning", "set it below"),
        ({"host": "0.0.0.0"}, "warning", "TEXTMILL_API_KEY"),  # noqa: S104 - not bound
        ({"device": "cuda"}, "error", "pip install 'textmill[torch]'"),
        ({"grpc_port": 1}, "error", "pip install 'textmill[grpc]'"),
        ({"models_path": "/nowhere"}, "error", "make it"),
    ],
)
def test_options_that_cannot_be_have_advice(changes: dict[str, object], level: str, advice: str) -> None:
    [finding] = found_in(changes)

    assert (finding.level, finding.about) == (level, "a flag")
    assert advice in finding.advice


def test_keys_close_a_server_that_listens_everywhere() -> None:
    assert found_in({"host": "::", "api_key": ("k",)}) == []


@pytest.mark.parametrize(
    ("setup", "level"),
    [
        (replace(FINE, cpu=Cpu("Old", ("sse",), 1)), "warning"),
        (replace(FINE, cache=replace(CACHE, writable=False)), "error"),
        (replace(FINE, cache=replace(CACHE, free=10)), "warning"),
        (replace(FINE, packages=(Package("openvino", ""),)), "error"),
    ],
)
def test_machines_that_will_not_do(setup: Setup, level: str) -> None:
    assert [finding.level for finding in found_in(setup=setup)] == [level]


def test_a_cache_that_cannot_be_written_does_not_matter_offline() -> None:
    assert found_in({"offline": True}, replace(FINE, cache=replace(CACHE, writable=False))) == []


def test_a_model_to_load_that_is_not_there_is_an_error() -> None:
    [finding] = found_in({"load": ("ada",)})
    assert (finding.level, finding.about) == ("error", "ada")


def test_a_model_whose_engine_is_not_installed_is_an_error(tmp_path: Path) -> None:
    write_gguf(tmp_path / "mill.gguf", {"general.architecture": "llama"})
    bare = replace(FINE, packages=(*FINE.packages, Package("xllamacpp", "", "llamacpp")))
    there = replace(FINE, packages=(*FINE.packages, Package("xllamacpp", "1", "llamacpp")))
    serving = Serving(ServeOptions(), (), None)
    assert diagnose(bare, serving, scan(tmp_path)) == [
        Finding("error", "mill.gguf", "the extra llamacpp is missing", "pip install 'textmill[llamacpp]'")
    ]
    assert diagnose(there, serving, scan(tmp_path)) == []
