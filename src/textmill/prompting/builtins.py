"""The functions that Go's text/template has by itself (https://pkg.go.dev/text/template#hdr-Functions)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote_plus

from textmill.prompting.comparing import equal, less
from textmill.prompting.formatting import formatted
from textmill.prompting.limits import Budget
from textmill.prompting.printing import escapable, joined, line
from textmill.prompting.signature import Signature
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import Texts, Value, called, truth

_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_OF_HTML = re.compile("[\0\"'&<>]")


def index(item: Value, *keys: Value) -> Value:
    """``index x 1 "a"`` is ``x[1]["a"]``. A key that a map does not have gives nil, or an empty text in a map of texts.

    Raises:
        Trouble: There is no such place in a list or text, or what is looked into has no places.

    """
    if item is None:
        msg = "index looks into nil; check with if that there is something"
        raise Trouble(msg)
    for key in keys:
        if isinstance(item, dict):
            if not isinstance(key, str):
                msg = f"index looks for {called(key)} in a map, whose keys are texts"
                raise Trouble(msg)
            item = item.get(key, "" if isinstance(item, Texts) else None)
        elif isinstance(item, list):
            item = item[_place(key, len(item))]
        elif isinstance(item, str):
            data = item.encode("utf-8", "replace")
            item = data[_place(key, len(data))]
        else:
            msg = f"index cannot look into {called(item)}, only into lists, maps and texts"
            raise Trouble(msg)
    return item


def _place(key: Value, count: int) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        msg = f"the place in a list or text must be a whole number, not {called(key)}"
        raise Trouble(msg)
    if not 0 <= key < count:
        msg = f"there is no place {key} in something of length {count}; places count from 0"
        raise Trouble(msg)
    return key


def length(item: Value) -> int:
    """How many parts a list or map has, how many bytes of UTF-8 a text."""
    if isinstance(item, str):
        return len(item.encode("utf-8", "replace"))
    if isinstance(item, list | dict):
        return len(item)
    msg = f"len takes a text, a list or a map, not {called(item)}"
    raise Trouble(msg)


def html(budget: Budget, *values: Value) -> str:
    """The values in a row, escaped for HTML."""
    return _OF_HTML.sub(lambda match: _HTML[match.group()], escapable(values, budget))


def javascript(budget: Budget, *values: Value) -> str:
    """The values in a row, escaped for a text in JavaScript."""
    return "".join(map(_in_javascript, escapable(values, budget)))


def _in_javascript(character: str) -> str:
    if character in _JS:
        return _JS[character]
    code = ord(character)
    return f"\\u{code:04X}" if code < ord(" ") or not character.isprintable() else character


BUILTINS: Mapping[str, Signature] = {
    "and": Signature(
        "aa*", lambda *values: values[-1]
    ),  # the evaluator does not call these two: they may leave arguments alone
    "or": Signature("aa*", lambda *values: values[-1]),
    "not": Signature("a", lambda value: not truth(value)),
    "eq": Signature("aaa*", equal),
    "ne": Signature("aa", lambda first, second: not equal(first, second)),
    "lt": Signature("aa", less),
    "le": Signature("aa", lambda first, second: less(first, second) or equal(first, second)),
    "gt": Signature("aa", lambda first, second: not (less(first, second) or equal(first, second))),
    "ge": Signature("aa", lambda first, second: not less(first, second)),
    "index": Signature("aa*", index),
    "len": Signature("a", length),
    "print": Signature("a*", lambda budget, *values: joined(values, budget), spends=True),
    "println": Signature("a*", lambda budget, *values: line(values, budget), spends=True),
    "printf": Signature("sa*", lambda budget, text, *values: formatted(text, values, budget), spends=True),
    "html": Signature("a*", html, spends=True),
    "js": Signature("a*", javascript, spends=True),
    "urlquery": Signature(
        "a*", lambda budget, *values: quote_plus(escapable(values, budget), errors="replace"), spends=True
    ),
}
