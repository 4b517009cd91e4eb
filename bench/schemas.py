"""``python -m bench.schemas``: JSON of a schema, asked of a model that knows nothing, at a temperature where anything is likely."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import jsonschema

from bench.crowd import ask
from bench.crowd_cases import CHAT, COMPLETE, DONE, OK, Case
from bench.progress import Progress
from bench.report import table
from bench.schema_cases import SCHEMAS, Schema
from bench.writing_servers import NAME, SLOTS, Server, textmill_server, write_models

KINDS: Final = (*SCHEMAS,)
ROUTES: Final = (CHAT, COMPLETE)
CONTEXT: Final = 8192
PATIENCE: Final = 120.0
SHOWN: Final = 12
_VALIDATOR: Final = jsonschema.Draft202012Validator


@dataclass(frozen=True)
class Asked:
    """A request for JSON of a kind."""

    kind: str
    case: Case
    streamed: bool


@dataclass
class Seen:
    """What became of the requests."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and route."""
    streamed: int = 0
    fit: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, check and print. The exit code is 1 where a text does not parse or does not fit its schema."""
    parser = argparse.ArgumentParser(prog="python -m bench.schemas", description=__doc__)
    parser.add_argument("--requests", type=int, default=12 * len(KINDS), help="to each route (default %(default)s)")
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--tokens", type=int, default=3000, help="of a text at most; one that is cut off fails")
    options = parser.parse_args(arguments)
    if missing := {"date", "time", "date-time", "uuid"} - set(_VALIDATOR.FORMAT_CHECKER.checkers):
        parser.error(f"jsonschema does not check {', '.join(sorted(missing))}: pip install rfc3339-validator")
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="textmill-schemas-") as place, Progress() as progress:
        folder = Path(place)
        models = write_models(folder / "models", layers=2, width=64, words=0, context=CONTEXT)
        progress.step("starting the server")
        with textmill_server(models, folder / "log") as server:
            progress.step("asking")
            wanted = [
                each
                for path in ROUTES
                for each in requests(path, options.requests, options.temperature, options.tokens)
            ]
            asyncio.run(ask_all(server, wanted, seen))
    print(report(seen, options.temperature))
    return int(bool(seen.failures))


def requests(path: str, number: int, temperature: float, tokens: int) -> Iterator[Asked]:
    """So many requests to a route: the kinds in turns, each with another seed, every second one streamed."""
    for each in range(number):
        turn, place = divmod(each, len(KINDS))
        kind, streamed = KINDS[place], (turn + place) % 2 == 1
        body: dict[str, Any] = {"model": NAME, "max_tokens": tokens, "temperature": temperature, "stream": streamed}
        body |= {"seed": each, "top_k": 0, "top_p": 1.0, "min_p": 0.0}  # no token is too unlikely
        named = {"name": "it", "schema": SCHEMAS[kind], "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
        text = f"{kind} {each}"
        body |= {"messages": [{"role": "user", "content": text}]} if path == CHAT else {"prompt": text}
        yield Asked(kind, Case(f"{path}, {kind}, {each}", path, json.dumps(body).encode(), OK), streamed)


async def ask_all(server: Server, wanted: Sequence[Asked], seen: Seen) -> None:
    """Ask as many at once as there are slots, and judge the answers."""
    left = iter(wanted)

    async def client() -> None:
        for each in left:
            try:
                status, body = await asyncio.wait_for(ask(server, each.case), PATIENCE)
                told = judged(each, status, body)
            except (OSError, EOFError, TimeoutError) as error:
                told = f"no answer: {error!r}"
            seen.asked[each.kind, each.case.path] += 1
            seen.streamed += each.streamed
            seen.fit[each.kind, each.case.path] += not told
            if told:
                seen.failures.append(f"{each.case.kind}{', streamed' * each.streamed}: {told}")

    begin = time.monotonic()
    await asyncio.gather(*(client() for _ in range(SLOTS)))
    seen.seconds += time.monotonic() - begin


def judged(asked: Asked, status: int, body: bytes) -> str:
    """What is wrong with an answer; empty where its text ends by itself, parses and fits."""
    if status not in OK:
        return f"status {status}: {body[:300]!r}"
    if asked.streamed and not body.rstrip().endswith(DONE):
        return f"a stream without an end: {body[-300:]!r}"
    try:
        text, reason = _joined(body) if asked.streamed else _whole(json.loads(body)["choices"][0])
    except (ValueError, LookupError) as error:
        return f"no answer of that shape, {error!r}: {body[-300:]!r}"
    if reason != "stop":
        return f"ended by {reason}: …{text[-100:]!r}"
    return fault(text, SCHEMAS[asked.kind])


def _joined(body: bytes) -> tuple[str, str]:
    """The text of a stream and why it ended. Raises LookupError for an error in it."""
    text = reason = ""
    for line in body.splitlines():
        if line.startswith(b"data: {"):
            piece, end = _whole(json.loads(line[6:])["choices"][0])
            text, reason = text + piece, end or reason
    return text, reason


def _whole(choice: dict[str, Any]) -> tuple[str, str]:
    said = choice.get("message") or choice.get("delta")
    return (choice.get("text") if said is None else said.get("content")) or "", choice["finish_reason"] or ""


def fault(text: str, schema: Schema) -> str:
    """Why a text is no JSON of a schema, formats included; empty where it is."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        return f"does not parse, {error}: {text[:300]!r}"
    wrong = _VALIDATOR(schema, format_checker=_VALIDATOR.FORMAT_CHECKER).iter_errors(value)
    worst = jsonschema.exceptions.best_match(wrong)
    return f"does not fit, {worst.message}: {text[:300]!r}" if worst else ""


def _refuse(name: str) -> NoReturn:
    message = f"{name} is no JSON"
    raise ValueError(message)


def report(seen: Seen, temperature: float) -> str:
    """How many fit, of each kind and in sum, and the first failures."""
    rows = [[kind, *(f"{seen.fit[kind, path]} of {seen.asked[kind, path]}" for path in ROUTES)] for kind in KINDS]
    return "\n".join(
        [
            f"## JSON at temperature {temperature:g}",
            "",
            table(["kind", *ROUTES], rows),
            "",
            f"{seen.fit.total()} of {seen.asked.total()} parse and fit; {seen.streamed} were streams; {seen.seconds:.0f} s.",
            *(f"- {failure}" for failure in seen.failures[:SHOWN]),
            *([f"- and {more} more"] if (more := len(seen.failures) - SHOWN) > 0 else []),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
