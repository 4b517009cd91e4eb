"""YAML from strangers: bounded before it is expanded, and plain afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import yaml

from textmill.errors import InvalidInput

DEEPEST = 60
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(data: bytes | str, what: str, *, most: int = 200_000) -> Any:
    """The one document of a YAML text, in dicts with texts as keys, lists, texts, numbers, booleans and None.

    ``most`` bounds its values after aliases and merges are expanded. Raises InvalidInput, naming ``what`` and the line.
    """
    try:
        _check_depth(data, what)
        loader = _LOADER(data)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Weigher(most, what).weigh(node)
            return plain(loader.construct_document(node))
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        msg = f"{what} is not YAML: {_sentence(error)}"
        raise InvalidInput(msg) from error


def write_yaml(value: Mapping[str, Any]) -> bytes:
    """A mapping as YAML, in its own order."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(plain(value), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def plain(value: Any) -> Any:
    """A copy that shares nothing, with texts as keys and dates as ISO texts."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    return value


def merged(under: Any, over: Any) -> Any:
    """A deep merge: mappings are joined, anything else of ``over`` takes the place of what is in ``under``."""
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return plain(over)
    result = plain(under)
    for key, value in over.items():
        result[key] = merged(result[key], value) if key in result else plain(value)
    return result


class _Weigher:
    """Counts values and levels of a document as if every alias were written out; each node is counted once and remembered."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._known: dict[int, tuple[int, int] | None] = {}

    def weigh(self, node: yaml.Node) -> tuple[int, int]:
        """The values and the levels of a node, itself included."""
        if id(node) in self._known:
            known = self._known[id(node)]
            if known is None:
                raise _refusal(self._what, node.start_mark, "the document contains itself")
            return known
        self._known[id(node)] = None
        values, levels = 1, 0
        for child in _children(node):
            more, deep = self.weigh(child)
            values, levels = values + more, max(levels, deep)
        if values > self._most:
            raise _refusal(self._what, node.start_mark, f"the document has more than {self._most:,} values")
        if levels >= DEEPEST:
            raise _refusal(self._what, node.start_mark, f"the document is nested deeper than {DEEPEST} levels")
        self._known[id(node)] = values, levels + 1
        return values, levels + 1


def _check_depth(data: bytes | str, what: str) -> None:
    """Refuse deep nesting before it is composed: libyaml's composer recurses on the C stack and crashes the process.

    What aliases add is weighed afterwards.
    """
    depth = 0
    for event in yaml.parse(data, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _refusal(what, event.start_mark, f"the document is nested deeper than {DEEPEST} levels")


def _refusal(what: str, mark: Any, why: str) -> InvalidInput:
    return InvalidInput(f"{what}, line {mark.line + 1 if mark is not None else 1}: {why}")


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _sentence(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return f"{where}{getattr(error, 'problem', None) or str(error).splitlines()[0]}"
