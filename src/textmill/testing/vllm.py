"""A program that behaves as ``vllm serve`` does towards who starts it, for tests; its model says its arguments, and ends when told.

The last message decides: ``!args`` gives the command line, ``!environ NAME`` a variable, ``!die`` ends the process, ``!slow`` is silent
until its client leaves; any other comes back. A model whose name ends in ``broken`` ends the program while it loads.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

import textmill
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, Stay, chunk, saying


def install(folder: Path) -> str:
    """Put the program there under vLLM's name; a PATH that finds it."""
    program = folder / "vllm"
    folder.mkdir(exist_ok=True)
    source = Path(textmill.__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{source}" exec "{sys.executable}" -m textmill.testing.vllm "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.defpath}"


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Serve until the end."""
    flags = dict(each.removeprefix("--").partition("=")[::2] for each in arguments[2:])
    print("loading", arguments[1], file=sys.stderr, flush=True)  # noqa: T201 - its log
    if arguments[1].endswith("broken"):
        print("ValueError: no such weights", file=sys.stderr, flush=True)  # noqa: T201 - its log
        return 1
    asyncio.run(_serve(flags, arguments, environ))
    return 0


async def _serve(flags: dict[str, str], arguments: list[str], environ: dict[str, str]) -> None:
    def script(asked: Asked) -> Answer:
        if asked.path == "/health":
            return Answer(body=b"")
        if asked.headers.get("authorization") != f"Bearer {environ['VLLM_API_KEY']}":
            return Answer(status=401, body={"error": "Unauthorized"})
        if asked.path == "/v1/models":
            return Answer(body={"data": [{"id": flags["served-model-name"], "max_model_len": 512}]})
        return _said(asked.body, arguments, environ)

    server = OpenAIServer(script)
    await server.start(host=flags["host"], port=int(flags["port"]))
    print("up", file=sys.stderr, flush=True)  # noqa: T201 - its log
    await asyncio.Event().wait()


def _said(body: Any, arguments: list[str], environ: dict[str, str]) -> Answer:
    text: str = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    if text == "!die":
        print("CUDA error, says vLLM", file=sys.stderr, flush=True)  # noqa: T201 - its log
        os._exit(3)
    if text == "!slow":
        return Answer(steps=[Stay()])
    if text == "!args":
        text = orjson.dumps(arguments).decode()
    if text.startswith("!environ "):
        text = environ.get(text.split()[1], "")
    return Answer(steps=[chunk(text=text, reason="stop")]) if "prompt" in body else saying(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))  # noqa: TID251 - a process of its own
