from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.providers.writing import complete, opened

from textmill.contract import Format
from textmill.errors import ExtraMissing
from textmill.providers.extra import need_transformers
from textmill.testing.causal import tiny_writer

WITHOUT_GRPC = """
import sys
sys.modules["grpc"] = None
from textmill.errors import ExtraMissing
from textmill.providers.extra import need_grpc
try:
    need_grpc()
except ExtraMissing as error:
    print(error)
"""


def test_without_its_extra_the_pip_command_is_said() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - to pass it on
    command = [sys.executable, "-c", WITHOUT_GRPC]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout  # noqa: S603 - ours
    assert "pip install 'textmill[grpc]'" in said


@pytest.mark.parametrize("package", ["torch", "transformers", "jinja2"])
def test_without_transformers_the_pip_command_is_said(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need_transformers()
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ExtraMissing, match=rf"{package}.*pip install 'textmill\[transformers\]'"):
        need_transformers()


async def test_without_llguidance_a_format_says_the_pip_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(tiny_writer(tmp_path / "m"))
    for name in ("llguidance", "llguidance.gbnf_to_lark"):
        monkeypatch.setitem(sys.modules, name, None)

    for wanted in (Format("json_object"), Format("grammar", 'root ::= "a"')):
        with pytest.raises(ExtraMissing, match=r"llguidance.*pip install 'textmill\[transformers\]'"):
            await complete(model, "x", format=wanted)
    assert (await complete(model, "x", max_tokens=1)).ended is not None
    model.close()
