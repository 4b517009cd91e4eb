"""Sets of characters in regular expressions as RE2 has them (https://github.com/google/re2/wiki/Syntax): those of ASCII."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""The first character and the last."""

_LAST = 0x10FFFF


def spans(*parts: str) -> tuple[Span, ...]:
    """Spans from texts of one or two characters."""
    return tuple((ord(part[0]), ord(part[-1])) for part in parts)


PERL = {
    "d": spans("09"),
    "s": spans("\t\n", "\f\r", " "),
    "w": spans("09", "AZ", "_", "az"),
}
POSIX = {
    "alnum": spans("09", "AZ", "az"),
    "alpha": spans("AZ", "az"),
    "ascii": spans("\x00\x7f"),
    "blank": spans("\t", " "),
    "cntrl": spans("\x00\x1f", "\x7f"),
    "digit": spans("09"),
    "graph": spans("!~"),
    "lower": spans("az"),
    "print": spans(" ~"),
    "punct": spans("!/", ":@", "[`", "{~"),
    "space": spans("\t\r", " "),
    "upper": spans("AZ"),
    "word": spans("09", "AZ", "_", "az"),
    "xdigit": spans("09", "AF", "af"),
}


def without(found: Sequence[Span]) -> tuple[Span, ...]:
    """All characters that are not in these spans, which are in order."""
    edges = [-1, *(edge for span in found for edge in span), _LAST + 1]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((before + 1, after - 1) for before, after in pairs if before + 1 <= after - 1)


def written(found: Iterable[Span]) -> str:
    """Spans as they stand within ``[]``, with escapes for all characters."""
    return "".join(_escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}" for first, last in found)


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"
