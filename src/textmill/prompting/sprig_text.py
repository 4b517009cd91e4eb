"""Sprig's functions about texts (https://masterminds.github.io/sprig/strings.html), each with the text as its last argument."""

from __future__ import annotations

import re
from collections.abc import Mapping

from textmill.prompting.formatting import quoted
from textmill.prompting.limits import Budget
from textmill.prompting.printing import text_of
from textmill.prompting.signature import Signature
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import Texts, Value

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
"""What Go's unicode.IsSpace takes for a space; Python's strip also takes the four separators of ASCII."""

_WORD_START = re.compile(rf"(?:^|(?<=[{re.escape(SPACES)}]))[^{re.escape(SPACES)}]")


def trimmed(text: str) -> str:
    """A text without the spaces around it."""
    return text.strip(SPACES)


def upper(text: str) -> str:
    """In capitals, character by character: those that have no capital of one character stay."""
    return text.upper() if text.isascii() else "".join(up if len(up := each.upper()) == 1 else each for each in text)


def lower(text: str) -> str:
    """In small letters, character by character."""
    return text.lower() if text.isascii() else "".join(each.lower()[0] for each in text)


def title(text: str) -> str:
    """With a capital at the beginning of each word."""
    befores = " " + text
    return "".join(upper(each) if _separates(before) else each for before, each in zip(befores, text, strict=False))


def _separates(character: str) -> bool:
    if character.isascii():
        return not (character.isalnum() or character == "_")
    return not character.isalpha() and not character.isdigit() and character in SPACES


def untitle(text: str) -> str:
    """With a small letter at the beginning of each word."""
    return _WORD_START.sub(lambda match: lower(match.group()), text)


def repeat(budget: Budget, count: int, text: str) -> str:
    """So many times in a row."""
    if count < 0:
        msg = f"repeat takes a number of times, not {count}"
        raise Trouble(msg)
    budget.write(count * len(text))
    return text * count


def indent(budget: Budget, spaces: int, text: str) -> str:
    """With so many spaces before each line."""
    if spaces < 0:
        msg = f"indent takes a number of spaces, not {spaces}"
        raise Trouble(msg)
    budget.write(spaces * (text.count("\n") + 1))
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


def replaced(budget: Budget, old: str, new: str, text: str) -> str:
    """With another text in place of each old one."""
    budget.write(text.count(old) * len(new))
    return text.replace(old, new)


def parts(separator: str, text: str, most: int = -1) -> list[str]:
    """What is between separators; single characters without one; the rest in the last part where there are more than that many."""
    if most == 0:
        return []
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    return list(text) if most < 0 or most >= len(text) else [*text[: most - 1], text[most - 1 :]]


def _numbered(found: list[str]) -> Texts:
    return Texts({f"_{index}": each for index, each in enumerate(found)})


def _listed(found: list[str]) -> list[Value]:
    return list(found)


def _slice(text: str, start: int | None, end: int | None) -> str:
    return text.encode("utf-8", "replace")[start:end].decode("utf-8", "replace")


def truncated(count: int, text: str) -> str:
    """The first so many bytes of UTF-8, or the last where the number is negative; half a character becomes U+FFFD."""
    return _slice(text, count, None) if count < 0 else _slice(text, None, count)


def part(start: int, end: int, text: str) -> str:
    """The bytes of UTF-8 from one place to another."""
    size = len(text.encode("utf-8", "replace"))
    if start < 0:
        start = 0
    elif end < 0 or end > size:
        end = size
    if not 0 <= start <= end <= size:
        msg = f"substr cannot cut from {start} to {end} in a text of length {size}"
        raise Trouble(msg)
    return _slice(text, start, end)


def texts(budget: Budget, value: Value) -> list[str]:
    """The values of a list as texts, without nil; any other value as the only one."""
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [text_of(each, budget) for each in values if each is not None]


def _sorted(budget: Budget, value: Value) -> list[Value]:
    return _listed(sorted(texts(budget, value))) if isinstance(value, list) else [text_of(value, budget)]


def _joined(budget: Budget, separator: str, value: Value) -> str:
    found = texts(budget, value)
    budget.write(len(separator) * len(found))
    return separator.join(found)


TEXT_FUNCTIONS: Mapping[str, Signature] = {
    "trim": Signature("s", trimmed),
    "trimAll": Signature("ss", lambda cut, text: text.strip(cut)),
    "trimall": Signature("ss", lambda cut, text: text.strip(cut)),
    "trimPrefix": Signature("ss", lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": Signature("ss", lambda suffix, text: text.removesuffix(suffix)),
    "upper": Signature("s", upper),
    "lower": Signature("s", lower),
    "title": Signature("s", title),
    "untitle": Signature("s", untitle),
    "nospace": Signature("s", lambda text: "".join(each for each in text if each not in SPACES)),
    "contains": Signature("ss", lambda part, text: part in text),
    "hasPrefix": Signature("ss", lambda prefix, text: text.startswith(prefix)),
    "hasSuffix": Signature("ss", lambda suffix, text: text.endswith(suffix)),
    "replace": Signature("sss", replaced, spends=True),
    "repeat": Signature("is", repeat, spends=True),
    "indent": Signature("is", indent, spends=True),
    "nindent": Signature("is", lambda budget, spaces, text: "\n" + indent(budget, spaces, text), spends=True),
    "trunc": Signature("is", truncated),
    "substr": Signature("iis", part),
    "plural": Signature("ssi", lambda one, many, count: one if count == 1 else many),
    "split": Signature("ss", lambda separator, text: _numbered(parts(separator, text))),
    "splitn": Signature("sis", lambda separator, most, text: _numbered(parts(separator, text, most))),
    "splitList": Signature("ss", lambda separator, text: _listed(parts(separator, text))),
    "join": Signature("sa", _joined, spends=True),
    "sortAlpha": Signature("a", _sorted, spends=True),
    "toString": Signature("a", lambda budget, value: text_of(value, budget), spends=True),
    "toStrings": Signature("a", lambda budget, value: _listed(texts(budget, value)), spends=True),
    "cat": Signature(
        "a*",
        lambda budget, *values: " ".join(text_of(each, budget) for each in values if each is not None),
        spends=True,
    ),
    "quote": Signature(
        "a*",
        lambda budget, *values: " ".join(quoted(text_of(each, budget)) for each in values if each is not None),
        spends=True,
    ),
    "squote": Signature(
        "a*",
        lambda budget, *values: " ".join(f"'{text_of(each, budget)}'" for each in values if each is not None),
        spends=True,
    ),
}
