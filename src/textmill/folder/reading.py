"""YAML text to nodes, whatever the text: bounded in size, depth and aliases; nothing in it is ever made an object."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from textmill.folder.nodes import Items, Node, Scalar, Table

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 50_000
"""Scalars, lists and tables of a file, counting an alias as all that it stands for."""

_INDENTED = (
    *("mapping values are not allowed in this context", "mapping values are not allowed here"),
    *("did not find expected key", "expected <block end>, but found '<block mapping start>'"),
)
"""What the parsers, in C and in Python, say of a line that is indented deeper than what it belongs to."""
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")} | {"!"}
_MERGE = "<<"
_NOT_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no YAML file may hold as it is (YAML 1.2.2, chapter 5.1)."""


class Unreadable(Exception):
    """A file that is not one document of YAML: the ``line`` where it stops being one, 0 where there is none, and why."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Document:
    """The first document of a file, None where it is empty; ``more`` is the line where another one begins, 0 for none."""

    root: Node | None
    more: int = 0


def read_file(path: Path) -> Document:
    """Read a file; raises Unreadable for whatever is not a regular, not too large file of YAML in UTF-8."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable(0, "it is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(0, f"it cannot be read: {error.strerror or error}") from None
    return read_yaml(content)


def read_yaml(content: bytes) -> Document:
    """The nodes of a YAML file's content; raises Unreadable with the line where it goes wrong."""
    if len(content) > MAX_BYTES:
        raise Unreadable(0, f"it is larger than {MAX_BYTES >> 20} MiB, so it is no model file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(line, "it is not text in UTF-8; save it in that encoding") from None
    return _Composer(text).document()


class _Composer:
    """Events of the YAML parser to nodes. A stack of its own takes the place of recursion, so depth is no danger."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._anchors: dict[str, Node] = {}

    def document(self) -> Document:
        try:
            return self._first(_events(self._text))
        except yaml.YAMLError as error:
            line, why = _place(error, self._text)
            raise Unreadable(line, f"it is not YAML: {why}") from None

    def _first(self, events: Iterator[yaml.Event]) -> Document:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    return Document(root, event.start_mark.line + 1 if event.start_mark else 1)
                root = self._tree(events)
        return Document(None if isinstance(root, Scalar) and root.is_null else root)

    def _tree(self, events: Iterator[Any]) -> Node:
        """The node that the next events make."""
        stack: list[_Open] = []
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.CollectionStartEvent):
                self._check_tag(event.tag, line)
                if len(stack) >= MAX_DEPTH:
                    raise Unreadable(line, f"it is nested deeper than {MAX_DEPTH} levels")
                stack.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor, line))
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                opened = stack.pop()
                node, anchor = opened.close(), opened.anchor
            else:
                node, anchor = self._leaf(event, line)
            if anchor is not None:
                self._anchors[anchor] = node
            if not stack:
                return node
            stack[-1].take(node)
        raise Unreadable(0, "it breaks off")

    def _leaf(self, event: Any, line: int) -> tuple[Node, str | None]:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Unreadable(
                    line, f"the alias *{event.anchor} stands for nothing before it, or for what it is part of"
                )
            return self._anchors[event.anchor], None
        self._check_tag(event.tag, line)
        plain = bool(event.implicit[0]) if event.tag is None else not event.tag.endswith(("str", "!"))
        return Scalar(event.value, plain, line), event.anchor

    @staticmethod
    def _check_tag(tag: str | None, line: int) -> None:
        if tag is not None and tag not in _TAGS:
            raise Unreadable(
                line, "it has a tag that is none of YAML's plain types; nothing in a model file is an object"
            )


class _Open:
    """A list or table whose end has not come yet."""

    def __init__(self, keyed: bool, anchor: str | None, line: int) -> None:  # noqa: FBT001 - of one caller
        self.anchor = anchor
        self._keyed = keyed
        self._line = line
        self._nodes: list[Node] = []
        self._size = 1

    def take(self, node: Node) -> None:
        if self._keyed and len(self._nodes) % 2 == 0 and not isinstance(node, Scalar):
            raise Unreadable(node.line, "a key must be a text")
        self._nodes.append(node)
        self._size += node.size
        if self._size > MAX_NODES:
            raise Unreadable(node.line, f"it holds more than {MAX_NODES:,} values, with what its aliases stand for")

    def close(self) -> Node:
        if not self._keyed:
            return Items(tuple(self._nodes), self._line, self._size)
        pairs: dict[str, tuple[int, Node]] = {}
        merged: list[Node] = []
        repeated: list[tuple[str, int]] = []
        keys = [node for node in self._nodes[::2] if isinstance(node, Scalar)]  # all of them: take has seen to it
        for key, value in zip(keys, self._nodes[1::2], strict=True):
            if key.plain and key.text == _MERGE:
                merged.append(value)
            elif key.text in pairs:
                repeated.append((key.text, key.line))
            else:
                pairs[key.text] = (key.line, value)
        for table in _tables(merged):
            pairs = {**table.pairs, **pairs}
        return Table(pairs, self._line, self._size, tuple(repeated))


def _tables(merged: list[Node]) -> Iterator[Table]:
    """The tables that a table takes over; what comes first holds."""
    for node in merged:
        for table in node.items if isinstance(node, Items) else (node,):
            if not isinstance(table, Table):
                raise Unreadable(node.line, "what << takes over must be a mapping or a list of mappings")
            yield table


def _events(text: str) -> Iterator[Any]:
    return iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _place(error: Any, text: str) -> tuple[int, str]:
    """The line of an error and what it says; the parser's longer words repeat the line, and with it what it may hold."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        said = str(getattr(error, "problem", "") or "it breaks off")
        hint = (
            "; is a line such as parameters: missing above it, or is it indented too far?" if said in _INDENTED else ""
        )
        return mark.line + 1, said + hint
    odd = _NOT_YAML.search(text)
    return (
        (text.count("\n", 0, odd.start()) + 1, "it has a character that YAML does not allow")
        if odd
        else (0, "it breaks off")
    )
