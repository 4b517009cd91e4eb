from __future__ import annotations

import os
import subprocess
import sys

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
