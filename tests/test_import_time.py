"""Nothing happens at import. What is loaded is asserted, not how long it took, which depends on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "httpx",
    "huggingface_hub",
    "msgspec",
    "numpy",
    "opentelemetry",
    "openvino",
    "orjson",
    "prometheus_client",
    "rich",
    "safetensors",
    "starlette",
    "tokenizers",
    "torch",
    "uvicorn",
    "yaml",
}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules in a new interpreter after the statement."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return set(done.stdout.splitlines()[-1].split())  # what the statement printed stands above


def test_importing_textmill_loads_no_framework() -> None:
    assert loaded_by("import textmill") & HEAVY == set()


@pytest.mark.parametrize("command", ["serve", "embed", "chat", "complete", "bench"])
def test_the_help_of_a_command_loads_no_framework(command: str) -> None:
    statement = f"import textmill.cli; textmill.cli.main(['{command}', '--help'], standalone_mode=False)"

    assert loaded_by(statement) & HEAVY <= {"msgspec", "orjson"}


def test_each_runtime_loads_its_own_framework_only() -> None:
    assert "torch" not in loaded_by("import textmill; textmill.load; import textmill.runtimes.openvino")
    assert "openvino" not in loaded_by("import textmill.runtimes.torch")


def test_the_gallery_loads_no_client_before_it_is_needed() -> None:
    assert (
        loaded_by("import textmill.gallery.gallery, textmill.gallery.jobs") & {"httpx", "huggingface_hub", "tqdm"}
        == set()
    )
