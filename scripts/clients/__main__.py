"""``python -m scripts.clients``: run other people's clients against live servers and say what works.

It needs their packages in the environment that runs it, and leaves out those that are missing; textmill may be in another one.
Not all of them can be installed together, so `make clients` makes two environments of requirements/clients-*.txt, runs this in
each, and brings the table of docs/clients.md up to date by what the runs say.

The servers' models are MiniLM and, from a seed, a reranker, a classifier, a SPLADE and one with prompts; and for what writes
(``--writing``: these only) tiny ones of llama.cpp. To make them takes the group test.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from scripts.clients import chat_checks, chat_frameworks, checks, cohere_checks, ollama_checks, openai_checks
from scripts.clients.check import Check, Missing, Servers

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0
MODELS: Final[Mapping[str, Sequence[str]]] = {
    "embed": (),
    "named": ("--served-model-name", cohere_checks.NAMED),
    "cl100k": ("--token-input", "cl100k"),
    "roles": (),
    "rerank": (),
    "classify": (),
    "sparse": ("--pooling", "splade"),
}
"""What each server is for, with its flags; the first three serve MiniLM."""
MINILM: Final = ("embed", "named", "cl100k")
WRITING: Final = (*chat_checks.CHECKS, *chat_frameworks.CHECKS)
CHECKS: Final = (*checks.CHECKS, *openai_checks.CHECKS, *cohere_checks.CHECKS, *ollama_checks.CHECKS, *WRITING)


def main() -> int:
    """Run all checks. The exit code is 1 where a client that is there does not work."""
    parser = argparse.ArgumentParser(prog="python -m scripts.clients", description=__doc__.splitlines()[0])
    parser.add_argument("--server-python", default=sys.executable, help="the interpreter that has textmill")
    parser.add_argument("--grpc", action="store_true", help="also those that speak gRPC")
    parser.add_argument("--writing", action="store_true", help="only what concerns models that write")
    parser.add_argument("--only", default="", help="checks whose name holds this")
    parser.add_argument("--trace", action="store_true", help="print what is behind a failure")
    parser.add_argument("--results", type=Path, help="write what was found as JSON, for scripts.clients.table")
    options = parser.parse_args()
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", _vocabularies())  # noqa: TID251 - for clients and servers alike
    wanted = [
        check
        for check in (WRITING if options.writing else CHECKS)
        if options.only in check.name and (options.grpc or not check.grpc)
    ]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for maker in ("writers",) if options.writing else ("models", "writers"):
            command = [options.server_python, "-m", f"scripts.clients.{maker}", folder]
            subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        models = {} if options.writing else MODELS
        servers = _serve(options.server_python, Path(folder), models, stack, grpc=options.grpc)
        found = {check: _tried(check, servers, trace=options.trace) for check in wanted}
    if options.results:
        rows = [
            {"client": check.client, "version": check.version, "routes": check.routes, "what": check.what, "said": said}
            for check, said in found.items()
            if not said.startswith("left out")
        ]
        options.results.write_text(json.dumps(rows, indent=1))
    return int(any(said.startswith("FAILS") for said in found.values()))


def _tried(check: Check, servers: Servers, *, trace: bool) -> str:
    try:
        check.carry_out(servers)
        said = "works"
    except Missing as error:
        said = str(error)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the finding
        said = f"FAILS: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if trace:
            traceback.print_exc()
    print(f"{check.name:90} {said}", flush=True)
    return said


def _vocabularies() -> str:
    """A folder with tiktoken's vocabularies, which some clients bring along; an empty one where none does."""
    packages = Path(sysconfig.get_path("purelib"))
    kept = ("llama_index/core/_static/tiktoken_cache", "litellm/litellm_core_utils/tokenizers")
    return next((str(packages / path) for path in kept if (packages / path).is_dir()), "")


def _serve(python: str, folder: Path, models: Mapping[str, Sequence[str]], stack: ExitStack, *, grpc: bool) -> Servers:
    urls: dict[str, str] = {}
    targets: dict[str, str] = {}
    processes = []
    for name, flags in {**models, "write": ()}.items():
        port, grpc_port = _free_port(), _free_port()
        urls[name], targets[name] = f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}"
        model = "all-MiniLM-L6-v2" if name in MINILM else str(folder / name)
        command = [python, "-m", "textmill", "serve", model, "--port", str(port), "--dtype", "float32", *flags]
        if name == "write":
            command = [python, "-m", "textmill", "serve", "--models-path", str(folder), "--port", str(port)]
        elif grpc:
            command += ["--grpc-port", str(grpc_port)]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        stack.callback(processes[-1].wait)
        stack.callback(processes[-1].terminate)
    end = time.monotonic() + PATIENCE
    for url in urls.values():
        while not _ready(url):
            if time.monotonic() > end or any(process.poll() is not None for process in processes):
                sys.exit("a server did not start")
            time.sleep(0.1)
    return Servers(urls, targets)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):  # noqa: S310 - our own
            return True
    except (OSError, urllib.error.URLError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
