"""Calls of tools in what a model writes: JSON objects with a name and arguments, which are told of as they come."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from textmill.contract import CallPiece

_HEAD = re.compile(
    r'\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)
"""How a call begins whose arguments can be told of as they come."""
_NAMED = re.compile(r"\s*(?P<name>[\w.-]+)(?:\[CALL_ID\][\w-]*)?\s*(?:\[ARGS\]\s*)?(?=\{)")
"""How a call begins that has its name before the JSON, as Mistral's newer models write it."""
_BLANKS = " \t\r\n,;"
_OPEN = 8192
"""Characters after which JSON that has not shown a call's name is taken for words: each token would look through all of them again."""
_BETWEEN = f"{_BLANKS}[]"
"""What stands between calls."""
_AGAIN = "[TOOL_CALLS]"
"""What may stand before each call, as Mistral's newer models write them."""


@dataclass(slots=True)
class _Object:
    """How deep a JSON text is."""

    depth: int = 0
    quoted: bool = False
    escaped: bool = False

    def end_in(self, text: str) -> int | None:
        """The place behind the bracket that closes the outermost object; None where the text does not have it."""
        for place, letter in enumerate(text):
            if self.quoted:
                self._in_string(letter)
            elif letter == '"':
                self.quoted = True
            elif letter in "{[":
                self.depth += 1
            elif letter in "}]":
                self.depth -= 1
                if self.depth <= 0:
                    return place + 1
        return None

    def _in_string(self, letter: str) -> None:
        if self.escaped:
            self.escaped = False
        elif letter == "\\":
            self.escaped = True
        elif letter == '"':
            self.quoted = False


@dataclass(slots=True)
class CallReader:
    """Reads calls out of text, of which it is given more and more. ``index`` is the number of the next call."""

    index: int = 0
    whole: int = 0
    """Calls that are complete."""
    _text: str = ""
    _arguments: _Object | None = None
    _rest: _Object | None = None
    _pieces: list[CallPiece] = field(default_factory=list)

    @property
    def within(self) -> bool:
        """Whether a call has begun and is not whole."""
        return self._arguments is not None or self._rest is not None

    def push(self, text: str) -> tuple[CallPiece, ...]:
        """What the text adds to calls."""
        self._text += text
        while self._text and self._step():
            pass
        made, self._pieces = tuple(self._pieces), []
        return made

    def finish(self) -> tuple[tuple[CallPiece, ...], str]:
        """At the end: what is told of still, and the text that is no call."""
        left = self._text
        self._text = ""
        if self.within:
            return (), ""  # cut off within a call
        return (), left.strip(_BETWEEN) and left

    def _step(self) -> bool:
        """Read one thing; false where more text is needed."""
        if self._arguments is not None:
            return self._read_arguments(self._arguments)
        if self._rest is not None:
            return self._read_rest(self._rest)
        text = _next(self._text)
        if not text:
            return False
        self._text = text
        head = (_HEAD if text[0] == "{" else _NAMED).match(text)
        name = None if head is None else _name(head["name"])
        if head is not None and name is not None:
            self._begin(name)
            self._text = text[head.end() :]
            self._arguments = _Object()
            # The object around the arguments is open still where they have one.
            self._rest = _Object(depth=1) if text[0] == "{" else None
            return True
        return text[0] == "{" and self._read_whole(text)

    def _read_arguments(self, state: _Object) -> bool:
        end = state.end_in(self._text)
        part, self._text = (self._text, "") if end is None else (self._text[:end], self._text[end:])
        if part:
            self._pieces.append(CallPiece(self.index, arguments=part))
        if end is None:
            return False
        self._arguments = None
        if self._rest is None:
            self._end()
        return True

    def _read_rest(self, state: _Object) -> bool:
        end = state.end_in(self._text)
        self._text = "" if end is None else self._text[end:]
        if end is None:
            return False
        self._rest = None
        self._end()
        return True

    def _read_whole(self, text: str) -> bool:
        """A call whose parts stand in another order, once all of it is there."""
        end = _Object().end_in(text)
        if end is None:
            return False
        made = _call_of(text[:end])
        if made is None:
            return False
        self._text = text[end:]
        self._begin(made[0])
        self._pieces.append(CallPiece(self.index, arguments=made[1]))
        self._end()
        return True

    def _begin(self, name: str) -> None:
        self._pieces.append(CallPiece(self.index, id=f"call_{secrets.token_hex(12)}", name=name))

    def _end(self) -> None:
        self.index += 1
        self.whole += 1


def _next(text: str) -> str:
    """The text from the next call on, without what stands between calls; empty while that is open."""
    while True:
        bare = text.lstrip(_BLANKS)
        if bare.startswith(_AGAIN):
            text = bare.removeprefix(_AGAIN)
        elif _AGAIN.startswith(bare):
            return ""
        elif bare[0] in "[]":
            text = bare[1:]
        else:
            return bare


def _name(written: str) -> str | None:
    """The name of a tool, in quotes or without; None for a string that JSON does not know or that UTF-8 cannot hold."""
    if not written.startswith('"'):
        return written
    try:
        name = str(json.loads(written))
        name.encode()  # half of a surrogate pair is a ValueError here
    except ValueError:
        return None
    return name


def _call_of(text: str) -> tuple[str, str] | None:
    """The name and the arguments of a call that is a JSON object; None for another text, and for one that is nested too deep."""
    try:
        made = _parts_of(json.loads(text))
        if made is not None:
            "".join(made).encode()  # as above
    except (ValueError, RecursionError):
        return None
    return made


def _parts_of(found: Any) -> tuple[str, str] | None:
    inner = found.get("function") if isinstance(found, dict) and isinstance(found.get("function"), dict) else found
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        return None
    arguments: Any = next((inner[key] for key in ("arguments", "parameters") if key in inner), {})
    if isinstance(arguments, str):
        return inner["name"], arguments or "{}"
    return inner["name"], json.dumps(arguments, ensure_ascii=False)


def may_be_call(text: str, names: Collection[str]) -> bool | None:
    """Whether bare text is a call of one of these tools; None while that is open."""
    bare = text.lstrip()
    if not bare:
        return None
    if bare[0] not in "{[":
        return False
    bare = bare.lstrip("[ \t\r\n")
    head = _HEAD.match(bare)
    if head is not None:
        return _name(head["name"]) in names
    end = _Object().end_in(bare) if bare else None
    if end is None:
        return None if len(bare) < _OPEN else False
    made = _call_of(bare[:end])
    return made is not None and made[0] in names
