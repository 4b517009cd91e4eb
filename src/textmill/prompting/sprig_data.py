"""Sprig's functions about lists, maps, defaults and JSON (https://masterminds.github.io/sprig/lists.html and its neighbours)."""

from __future__ import annotations

from collections.abc import Mapping

from textmill.prompting.json_text import Writer, parsed
from textmill.prompting.limits import MOST_NESTING, Budget
from textmill.prompting.printing import text_of
from textmill.prompting.signature import Signature
from textmill.prompting.sprig_numbers import whole
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import NilList, NilMap, Record, Value, called, kind, truth


def same(budget: Budget, first: Value, second: Value, depth: int = 0) -> bool:
    """Whether two values and all that is in them are of the same kind and equal.

    Raises:
        Trouble: They are nested too deep, or the budget is spent.

    """
    budget.step()
    if depth > MOST_NESTING:
        msg = f"a value is nested more than {MOST_NESTING} deep, or in itself"
        raise Trouble(msg)
    if kind(first) != kind(second):
        return False
    if isinstance(first, list) and isinstance(second, list):
        pairs = zip(first, second, strict=False)
        return len(first) == len(second) and all(same(budget, *pair, depth + 1) for pair in pairs)
    if isinstance(first, Record) and isinstance(second, Record):
        return first.type == second.type and same(budget, dict(first.fields), dict(second.fields), depth + 1)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(budget, first[key], second[key], depth + 1) for key in first)
    return first == second


def _a_list(name: str, value: Value) -> list[Value]:
    if not isinstance(value, list):
        msg = f"{name} takes a list, not {called(value)}"
        raise Trouble(msg)
    return value


def _empty(value: Value) -> bool:
    return not truth(value)


def _first(value: Value) -> Value:
    return next(iter(_a_list("first", value)), None)


def _last(value: Value) -> Value:
    return next(reversed(_a_list("last", value)), None)


def _rest(value: Value) -> list[Value]:
    return _a_list("rest", value)[1:] or ([] if value else NilList())


def _initial(value: Value) -> list[Value]:
    return _a_list("initial", value)[:-1] or ([] if value else NilList())


def _unique(budget: Budget, value: Value) -> list[Value]:
    found: list[Value] = []
    for each in _a_list("uniq", value):
        if not any(same(budget, each, other) for other in found):
            found.append(each)
    return found


def _without(budget: Budget, value: Value, *others: Value) -> list[Value]:
    return [each for each in _a_list("without", value) if not any(same(budget, each, other) for other in others)]


def _has(budget: Budget, wanted: Value, value: Value) -> bool:
    return value is not None and any(same(budget, wanted, each) for each in _a_list("has", value))


def _slice(value: Value, *places: Value) -> Value:
    values = _a_list("slice", value)
    if not values:
        return None
    if len(places) > 2:  # noqa: PLR2004 - where it begins and where it ends; Sprig leaves others alone
        places = places[:2]
    start, end = [*map(whole, places), *(0, len(values))[len(places) :]]
    if not 0 <= start <= end <= len(values):
        msg = f"slice cannot cut from {start} to {end} in a list of length {len(values)}"
        raise Trouble(msg)
    return values[start:end]


def _concat(*values: Value) -> list[Value]:
    found = [each for value in values for each in _a_list("concat", value)]
    return found or NilList()


def _dict(budget: Budget, *values: Value) -> dict[str, Value]:
    keys = [text_of(key, budget) for key in values[::2]]
    return dict(zip(keys, [*values[1::2], *[""] * (len(values) % 2)], strict=True))


def _set(into: dict[str, Value], key: str, value: Value) -> dict[str, Value]:
    if isinstance(into, NilMap):
        msg = f"set cannot put {key} into a map that is nil; make one with dict"
        raise Trouble(msg)
    into[key] = value
    return into


def _unset(out_of: dict[str, Value], key: str) -> dict[str, Value]:
    out_of.pop(key, None)
    return out_of


def _dig(*values: Value) -> Value:
    """``dig "a" "b" default map``."""
    *keys, default, found = values
    if all(isinstance(key, str) for key in keys):
        for key in map(str, keys):
            if not isinstance(found, dict):
                break
            if key not in found:
                return default
            found = found[key]
        else:
            return found
    msg = "dig takes keys, what to give where one is missing, and a map, and can only look into maps"
    raise Trouble(msg)


def _json(budget: Budget, value: Value, *, raw: bool = False, indent: str = "") -> str:
    """An empty text where a value has no JSON, as in Sprig; ``mustToJson`` is the one that complains."""
    return Writer(budget, raw=raw, indent=indent).text(value)


def _or_nil(text: str) -> Value:
    try:
        return parsed(text)
    except Trouble:
        return None


def _fail(text: str) -> Value:
    raise Trouble(text)


_JSON: Mapping[str, Signature] = {
    "toJson": Signature("a", _json, spends=True),
    "mustToJson": Signature("a", _json, spends=True),
    "toRawJson": Signature("a", lambda budget, value: _json(budget, value, raw=True), spends=True),
    "mustToRawJson": Signature("a", lambda budget, value: _json(budget, value, raw=True), spends=True),
    "toPrettyJson": Signature("a", lambda budget, value: _json(budget, value, indent="  "), spends=True),
    "mustToPrettyJson": Signature("a", lambda budget, value: _json(budget, value, indent="  "), spends=True),
    "fromJson": Signature("s", _or_nil),
    "mustFromJson": Signature("s", parsed),
}

_LISTS: Mapping[str, Signature] = {
    "list": Signature("a*", lambda *values: list(values)),
    "tuple": Signature("a*", lambda *values: list(values)),
    "first": Signature("a", _first),
    "last": Signature("a", _last),
    "rest": Signature("a", _rest),
    "initial": Signature("a", _initial),
    "append": Signature("aa", lambda values, value: [*_a_list("append", values), value]),
    "push": Signature("aa", lambda values, value: [*_a_list("push", values), value]),
    "prepend": Signature("aa", lambda values, value: [value, *_a_list("prepend", values)]),
    "reverse": Signature("a", lambda values: _a_list("reverse", values)[::-1]),
    "compact": Signature("a", lambda values: [each for each in _a_list("compact", values) if truth(each)]),
    "uniq": Signature("a", _unique, spends=True),
    "without": Signature("aa*", _without, spends=True),
    "has": Signature("aa", _has, spends=True),
    "slice": Signature("aa*", _slice),
    "concat": Signature("a*", _concat),
}

_MAPS: Mapping[str, Signature] = {
    "dict": Signature("a*", _dict, spends=True),
    "get": Signature("ms", lambda values, key: values.get(key, "")),
    "set": Signature("msa", _set),
    "unset": Signature("ms", _unset),
    "hasKey": Signature("ms", lambda values, key: key in values),
    "keys": Signature("m*", lambda *maps: [key for values in maps for key in sorted(values)]),
    "values": Signature("m", lambda values: [values[key] for key in sorted(values)]),
    "pluck": Signature("sm*", lambda key, *maps: [values[key] for values in maps if key in values]),
    "pick": Signature("ms*", lambda values, *keys: {key: values[key] for key in keys if key in values}),
    "omit": Signature("ms*", lambda values, *keys: {key: value for key, value in values.items() if key not in keys}),
    "dig": Signature("aaaa*", _dig),
}

_CHOICES: Mapping[str, Signature] = {
    "default": Signature("aa*", lambda default, *given: given[0] if given and truth(given[0]) else default),
    "empty": Signature("a", _empty),
    "coalesce": Signature("a*", lambda *values: next(filter(truth, values), None)),
    "all": Signature("a*", lambda *values: all(map(truth, values))),
    "any": Signature("a*", lambda *values: any(map(truth, values))),
    "ternary": Signature("aab", lambda yes, no, condition: yes if condition else no),
    "deepEqual": Signature("aa", same, spends=True),
    "kindOf": Signature("a", kind),
    "kindIs": Signature("sa", lambda wanted, value: kind(value) == wanted),
    "fail": Signature("s", _fail),
}

DATA_FUNCTIONS: Mapping[str, Signature] = {**_JSON, **_LISTS, **_MAPS, **_CHOICES}
