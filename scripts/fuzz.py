r"""``python -m scripts.fuzz``: schemathesis over our own OpenAPI document, against a live server with four kinds of models.

It fails at any answer of 500 or more, and at any status that the document does not have. It needs schemathesis in the environment
that runs it; textmill may be in another one:

    python -m venv fuzz && fuzz/bin/pip install schemathesis
    fuzz/bin/python -m scripts.fuzz --server-python .venv/bin/python

The models are MiniLM and, from a seed, a reranker, a classifier and a SPLADE.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
KINDS: Final = ("embed", "rerank", "classify", "sparse")
MAKE: Final = """
import sys
from pathlib import Path
from textmill.testing.heads import tiny_classifier, tiny_splade
folder = Path(sys.argv[1])
tiny_classifier(folder / "classify"), tiny_classifier(folder / "rerank", ["LABEL_0"]), tiny_splade(folder / "sparse")
"""


def main() -> int:
    """Serve, fuzz, and give schemathesis' exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--server-python", default=sys.executable, help="the interpreter that has textmill")
    parser.add_argument("--default", choices=KINDS, default="embed", help="the kind of the default model")
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.server_python, "-c", MAKE, folder], check=True, cwd=ROOT)
        names = {kind: str(Path(folder, kind)) for kind in KINDS} | {"embed": "all-MiniLM-L6-v2"}
        models = [names.pop(options.default), *names.values()]
        serve = [options.server_python, "-m", "textmill", "serve", *models, "--port", "0", "--dtype", "float32"]
        # Jobs end at once: nothing is fetched.
        serve += ["--models-path", str(Path(folder, "models")), "--galleries", "none", "--offline"]
        with subprocess.Popen(serve, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
            try:
                return _fuzz(_url(server), more)
            finally:
                server.terminate()


def _url(server: subprocess.Popen[str]) -> str:
    """The URL in the ready line."""
    assert server.stdout  # noqa: S101 - it is a pipe
    line = server.stdout.readline()
    if " ready on " not in line:
        sys.exit("the server did not start")
    return line.split(" ready on ")[1].split()[0]


def _fuzz(url: str, more: list[str]) -> int:
    tool = Path(sys.executable).with_name("schemathesis")
    if not tool.is_file():
        sys.exit(f"schemathesis is missing; {sys.executable} -m pip install schemathesis")
    config = Path(__file__).with_name("schemathesis.toml")
    return subprocess.run(
        [str(tool), "--config-file", str(config), "run", f"{url}/openapi.json", *more], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
