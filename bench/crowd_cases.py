"""What the clients of the crowd ask for: text that can be written, and requests that must be refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

CHAT, COMPLETE, EDIT = "/v1/chat/completions", "/v1/completions", "/v1/edits"
HELLO: Final = [{"role": "user", "content": "What turns the mill?"}]
TOOL: Final = {
    "type": "function",
    "function": {"name": "turn", "parameters": {"type": "object", "properties": {"times": {"type": "integer"}}}},
}
SCHEMA: Final = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "wet": {"type": "boolean"}},
    "required": ["name", "wet"],
    "additionalProperties": False,
}
OK, BAD = (200,), (400,)
DONE, REFUSED = b"data: [DONE]", b'"type":"invalid_request_error"'


@dataclass(frozen=True)
class Case:
    """A request and the statuses that it may have."""

    kind: str
    path: str
    body: bytes
    statuses: tuple[int, ...]

    def at(self, address: str) -> bytes:
        """As it goes over the wire."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body

    def wrong(self, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty where nothing is. A stream that had to wait is refused within it."""
        if status == OK[0] and self.statuses == BAD and REFUSED in body and body.rstrip().endswith(DONE):
            return ""
        if status not in self.statuses:
            return f"{self.kind}: status {status} where {self.statuses} was due: {body[:300]!r}"
        if status >= HTTPStatus.BAD_REQUEST:
            return "" if _reason(body) else f"{self.kind}: {status} without a reason: {body[:300]!r}"
        if b"data: " in body[:200]:
            if not body.rstrip().endswith(DONE):
                return f"{self.kind}: a stream without an end: {body[-300:]!r}"
            return f"{self.kind}: an error in a stream: {body[-500:]!r}" if b'"error":{' in body else ""
        read = orjson.loads(body)
        return (
            "" if read.get("choices") and read["usage"]["total_tokens"] else f"{self.kind}: nothing in {body[:300]!r}"
        )


def right() -> list[Case]:
    """Requests that have to be answered, as streams and not."""
    chats: Mapping[str, Mapping[str, Any]] = {
        "chat": {},
        "chat, hot": {"temperature": 1.5, "top_p": 0.9, "seed": 3},
        "chat, two choices": {"n": 2},
        "chat, log-probabilities": {"logprobs": True, "top_logprobs": 3},
        "chat, a bias beyond the vocabulary": {"logit_bias": {"99999999": 1}},
        "chat, stops": {"stop": ["e", "a"]},
        "chat, JSON": {"response_format": {"type": "json_object"}},
        "chat, schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        "chat, tools": {"tools": [TOOL]},
        "chat, a tool that must be called": {"tools": [TOOL], "tool_choice": "required"},
        "chat, grammar": {"grammar": 'root ::= "yes" | "no"'},
        "chat, a grammar without an end": {"grammar": 'root ::= "a" root'},
    }
    texts: Mapping[str, Mapping[str, Any]] = {
        "completion": {},
        "completion, echo": {"echo": True},
        "completion, two prompts": {"prompt": ["The mill", "A wheel"]},
        "completion, ids": {"prompt": [1, 2, 3]},
        "completion, a grammar without an end": {"grammar": "root ::= [a-z]+ root"},
        "completion, best of three": {"best_of": 3},
    }
    return [
        Case(kind, path, orjson.dumps({**usual, **more} | {"stream": stream}), OK)
        for path, usual, several in (
            (CHAT, {"messages": HELLO, "max_tokens": 24}, chats),
            (COMPLETE, {"prompt": "The mill", "max_tokens": 24}, texts),
        )
        for kind, more in several.items()
        for stream in ((False,) if "best_of" in more else (False, True))
    ]


def wrong(context: int) -> list[Case]:
    """Requests that have to be refused by a model with a context of so many tokens."""
    grammars = {
        "open": "root ::= (",
        "nowhere": "root ::= missing",
        "without a root": 'other ::= "a"',
        "left-recursive": 'root ::= root "a"',
        "itself": "root ::= root",
        "huge": 'root ::= "a"{100000000}',
        "deep": f"root ::= {'(' * 100_000}",
        "no grammar": "\x00\x01",
    }
    schemas: Mapping[str, Any] = {
        "unknown type": {"type": "mill"},
        "reference to nothing": {"$ref": "#/nowhere"},
        "to another host": {"$ref": "https://example.org/schema"},
        "pattern that is open": {"type": "string", "pattern": "^($"},
    }
    messages: Mapping[str, Any] = {
        "unknown role": [{"role": "miller", "content": "a"}],
        "no messages": [],
        "no role": [{"content": "a"}],
        "a picture": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}],
        "too long": [{"role": "user", "content": "x y " * context}],
    }
    chats: Mapping[str, Mapping[str, Any]] = {
        "tool without a name": {"tools": [{"type": "function", "function": {}}]},
        "tool of no kind": {"tools": [{"type": "mill"}]},
        "tool with a bad schema": {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "mill"}}}],
            "tool_choice": "required",
        },
        "tool that is none": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "grind"}}},
        "tools of a wrong type": {"tools": "turn"},
        "bias that is none": {"logit_bias": {"x": 1}},
        "temperature below zero": {"temperature": -1},
        "many choices": {"n": 1000},
        "alternatives without any": {"top_logprobs": 3},
    }
    usual = {"messages": HELLO, "max_tokens": 24}
    found = [_case(CHAT, f"grammar, {name}", usual | {"grammar": text}) for name, text in grammars.items()]
    found += [
        _case(COMPLETE, f"grammar, {name}", {"prompt": "a", "max_tokens": 24, "grammar": text})
        for name, text in grammars.items()
    ]
    for name, schema in schemas.items():
        asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        found.append(_case(CHAT, f"schema, {name}", usual | {"response_format": asked}))
    found += [_case(CHAT, name, {**usual, "messages": each}) for name, each in messages.items()]
    found += [_case(CHAT, name, {**usual, **each}) for name, each in chats.items()]
    found += [
        _case(COMPLETE, "prompt, too long", {"prompt": "x y " * context}),
        _case(COMPLETE, "prompt, no ids", {"prompt": [10**9]}),
        _case(COMPLETE, "prompt, none", {"prompt": []}),
        Case("no JSON", CHAT, b'{"messages": [', BAD),
        Case("unknown model", CHAT, orjson.dumps(usual | {"model": "nobody"}), (404,)),
    ]
    streams = [Case(f"{each.kind}, as a stream", each.path, _streamed(each.body), each.statuses) for each in found]
    return [*found, *(each for each in streams if each.body)]


def endless(path: str) -> Case:
    """A stream to leave."""
    asked: dict[str, Any] = {"messages": HELLO} if path == CHAT else {"prompt": "The mill"}
    return Case("left", path, orjson.dumps(asked | {"max_tokens": 1000, "ignore_eos": True, "stream": True}), OK)


def _case(path: str, kind: str, body: Mapping[str, Any], statuses: Sequence[int] = BAD) -> Case:
    return Case(kind, path, orjson.dumps(body), tuple(statuses))


def _streamed(body: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(body) | {"stream": True})
    except orjson.JSONDecodeError:
        return b""


def _reason(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
