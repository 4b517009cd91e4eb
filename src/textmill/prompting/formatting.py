"""``printf``: the verbs of Go's fmt that templates use (https://pkg.go.dev/fmt#hdr-Printing)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from textmill.prompting import numerals
from textmill.prompting.limits import MOST_NESTING, Budget
from textmill.prompting.printing import NIL, text_of
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, Record, Value, kind

_VERB = re.compile(r"%([-+# 0]*)([0-9]*)(?:(\.)([0-9]*))?(.?)", re.DOTALL)
_WIDEST = 10_000
_DIGITS = 9
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}
_TYPES = {"slice": "[]interface {}", "map": "map[string]interface {}"}
_BASES = {"d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}


@dataclass(frozen=True, slots=True)
class _Spec:
    """A verb and what stands before it."""

    flags: str
    width: int
    precision: int | None
    verb: str


def formatted(template: str, values: Sequence[Value], budget: Budget) -> str:
    """A text with values in place of its verbs; a verb that does not fit its value shows so in the text, as in Go.

    Raises:
        Trouble: A verb is ``%T``, ``%p``, ``%#v`` or has ``*`` or ``[`` for a number, or a number is too large.

    """
    parts: list[str] = []
    left = list(values)
    at = 0
    for match in _VERB.finditer(template):
        if match.start() < at:
            continue
        parts.append(template[at : match.start()])
        parts.append(_one(match, left, budget))
        at = match.end()
    parts.append(template[at:])
    if left:
        parts.append(f"%!(EXTRA {', '.join(_named(value, budget) for value in left)})")
    text = "".join(parts)
    budget.write(len(text))
    return text


def _one(match: re.Match[str], left: list[Value], budget: Budget) -> str:
    flags, width, point, precision, verb = match.groups()
    if verb == "%":
        return "%"
    if not verb:
        return "%!(NOVERB)"
    if verb in "*[" or verb in "Tp" or (verb == "v" and "#" in flags):
        msg = f"printf does not know {match.group()} here; %v, %s, %d, %q, %t, %f, %g, %e, %x, %c and their flags can be used"
        raise Trouble(msg)
    if not left:
        return f"%!{verb}(MISSING)"
    if max(len(width), len(precision or "")) > _DIGITS or max(int(width or 0), int(precision or 0)) > _WIDEST:
        msg = f"{match.group()[:40]} asks for more than {_WIDEST:,} characters"
        raise Trouble(msg)
    spec = _Spec(flags, int(width or 0), int(precision or 0) if point else None, verb)
    return _value(left.pop(0), spec, budget)


def _value(value: Value, spec: _Spec, budget: Budget, depth: int = 0) -> str:
    """Of lists, maps and structs the verb is that of all values in them."""
    budget.step()
    if depth > MOST_NESTING:
        msg = f"a value is nested more than {MOST_NESTING} deep, or in itself"
        raise Trouble(msg)
    if isinstance(value, list):
        return f"[{' '.join(_value(each, spec, budget, depth + 1) for each in value)}]"
    if isinstance(value, dict):
        pairs = ((_value(key, spec, budget), _value(value[key], spec, budget, depth + 1)) for key in sorted(value))
        return f"map[{' '.join(map(':'.join, pairs))}]"
    if isinstance(value, Record):
        names = spec.verb == "v" and "+" in spec.flags
        fields = ((f"{name}:" * names, _value(each, spec, budget, depth + 1)) for name, each in value.fields.items())
        return f"{{{' '.join(map(''.join, fields))}}}"
    text = _nil(spec, depth) if value is None or value is MISSING else _plain(value, spec)
    if text is None:
        text = f"%!{spec.verb}({_named(value, budget)})"
    budget.write(len(text))
    return text


def _nil(spec: _Spec, depth: int) -> str | None:
    return NIL if depth else _padded(NIL, spec) if spec.verb == "v" else None


def _plain(value: Value, spec: _Spec) -> str | None:
    """None where the verb does not fit."""
    if isinstance(value, bool):
        return _padded("true" if value else "false", spec) if spec.verb in "tv" else None
    if isinstance(value, str):
        return _string(value, spec)
    if isinstance(value, int):
        return _integer(value, spec)
    return _float(value, spec) if isinstance(value, float) else None


def _string(text: str, spec: _Spec) -> str | None:
    if spec.verb not in "svqxX":
        return None
    text = text if spec.precision is None else text[: spec.precision]
    if spec.verb in "xX":
        text = text.encode("utf-8", "replace").hex()
        return _padded(text.upper() if spec.verb == "X" else text, spec)
    return _padded(quoted(text) if spec.verb == "q" else text, spec)


def _integer(number: int, spec: _Spec) -> str | None:
    if spec.verb in "cqU":
        return _padded(_character(number, spec.verb), spec)
    if spec.verb not in "vdboxX":
        return None
    digits = format(abs(number), _BASES.get(spec.verb, "d"))
    if spec.precision is not None:
        digits = "" if spec.precision == 0 and number == 0 else digits.rjust(spec.precision, "0")
    prefix = {"x": "0x", "X": "0X", "b": "0b", "o": "0"}.get(spec.verb, "") if "#" in spec.flags else ""
    return _padded(digits, spec, _sign(number < 0, spec) + prefix, zeros=spec.precision is None)


def _character(number: int, verb: str) -> str:
    if verb == "U":
        return f"U+{number:04X}"
    character = chr(number) if 0 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"  # noqa: PLR2004 - Unicode
    if verb == "c":
        return character
    return f"'{quoted(character)[1:-1]}'" if character not in "'\"" else {"'": "'\\''", '"': "'\"'"}[character]


def _float(number: float, spec: _Spec) -> str | None:
    if spec.verb not in "vgGeEfF":
        return None
    if not math.isfinite(number):
        text = numerals.general(number)
        return (
            _padded(text if "+" in spec.flags else text.removeprefix("+"), spec)
            if text != "+Inf"
            else _padded(text, spec)
        )
    size = abs(number)
    if spec.verb in "vgG":
        digits = numerals.general(size) if spec.precision is None else _shortened(size, spec.precision)
    else:
        digits = format(size, f".{6 if spec.precision is None else spec.precision}{spec.verb}")
    digits = digits.upper() if spec.verb in "GE" else digits
    return _padded(digits, spec, _sign(math.copysign(1.0, number) < 0, spec), zeros=True)


def _shortened(size: float, precision: int) -> str:
    """As ``%.3g``."""
    return format(size, f".{precision or 1}g")


def _sign(negative: bool, spec: _Spec) -> str:  # noqa: FBT001 - a sign is one or the other
    return "-" if negative else "+" if "+" in spec.flags and spec.verb != "v" else " " if " " in spec.flags else ""


def _padded(text: str, spec: _Spec, sign: str = "", *, zeros: bool = False) -> str:
    if "-" in spec.flags:
        return (sign + text).ljust(spec.width)
    if zeros and "0" in spec.flags:
        return sign + text.rjust(spec.width - len(sign), "0")
    return (sign + text).rjust(spec.width, "0" if "0" in spec.flags and not zeros and not sign else " ")


def quoted(text: str) -> str:
    """A text as a Go literal, as ``%q`` has it."""
    return '"' + "".join(map(_visible, text)) + '"'


def _visible(character: str) -> str:
    if character == '"':
        return '\\"'
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < ord(" ") or code == 0x7F:  # noqa: PLR2004 - delete, the last of ASCII
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the basic plane


def _named(value: Value, budget: Budget) -> str:
    """A value behind its type."""
    return NIL if value is None or value is MISSING else f"{_type(value)}={text_of(value, budget)}"


def _type(value: Value) -> str:
    if isinstance(value, Record):
        return value.type
    return _TYPES.get(kind(value), kind(value))
