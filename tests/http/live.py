"""Servers as processes of their own, for tests of what goes over the wire."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[httpx.Client]:
    """A client of `textmill serve` with these arguments, on a free port."""
    command = [sys.executable, "-m", "textmill", "serve", *arguments, "--port", "0", "--dtype", "float32"]
    command += ["--threads", "1"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}  # noqa: TID251 - to pass it on
    with (
        tempfile.TemporaryFile("w+") as log,  # a pipe would be full one day
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environ) as process,  # noqa: S603
    ):
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.search(r"ready on (http://127\.0\.0\.1:\d+)", line)
            if found is None:
                log.seek(0)
                raise AssertionError(line + log.read())
            with httpx.Client(base_url=found[1], timeout=20) as client:
                yield client
        finally:
            process.kill()
