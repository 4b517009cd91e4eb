from __future__ import annotations

import os
from pathlib import Path

import pytest

from textmill.folder.nodes import Table, plain_value
from textmill.folder.reading import MAX_BYTES, MAX_NODES, Unreadable, read_file, read_yaml


def value(text: str) -> object:
    root = read_yaml(text.encode()).root
    return None if root is None else plain_value(root)


def refused(content: str | bytes) -> tuple[int, str]:
    with pytest.raises(Unreadable) as caught:
        read_yaml(content.encode() if isinstance(content, str) else content)
    return caught.value.line, caught.value.sentence


def test_lists_and_mappings_of_either_style() -> None:
    assert value("a: [1, {b: c}]\nd:\n  - e\n  -\n") == {"a": [1, {"b": "c"}], "d": ["e", None]}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_holds_nothing(text: str) -> None:
    assert read_yaml(text.encode()).root is None


def test_every_key_has_its_line() -> None:
    root = read_yaml(b"a: 1\n\nb:\n  c: 2\n").root

    assert isinstance(root, Table)
    assert {key: line for key, (line, _) in root.pairs.items()} == {"a": 1, "b": 3}
    inner = root.pairs["b"][1]
    assert isinstance(inner, Table)
    assert inner.pairs["c"][0] == 4


def test_a_byte_order_mark_is_no_content() -> None:
    assert value("\ufeffname: x") == {"name": "x"}


def test_aliases_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\none: {<<: *b, y: 9}\nboth: {<<: [*b, *o], w: *b}\n"

    found = value(text)

    assert isinstance(found, dict)
    assert found["one"] == {"x": 1, "y": 9}
    assert found["both"] == {"x": 1, "y": 2, "z": 4, "w": {"x": 1, "y": 2}}


def test_a_key_that_stands_there_twice_is_kept_with_its_line() -> None:
    root = read_yaml(b"a: 1\nb: 2\na: 3\n").root

    assert isinstance(root, Table)
    assert root.repeated == (("a", 3),)
    assert plain_value(root) == {"a": 1, "b": 2}


def test_only_the_first_document_counts() -> None:
    document = read_yaml(b"a: 1\n---\nb: 2\n")

    assert plain_value(document.root) == {"a": 1} if document.root else False
    assert document.more == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3, "not YAML"),
        ("name: x # a remark\n  model: bert\n", 2, "missing above"),
        ("name: x\n  model: bert\n", 2, "missing above"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "tag"),
        ("a: 1\nb: *c\n", 2, "stands for nothing"),
        ("a: &a [*a]\n", 1, "stands for nothing"),
        ("? [1, 2]\n: 3\n", 1, "key must be a text"),
        ("a: {<<: 3}\n", 1, "what << takes over"),
        ("a: 1\nb: \x07\n", 2, "not YAML"),
    ],
)
def test_what_is_not_plain_yaml_has_a_line_and_a_reason(text: str, line: int, words: str) -> None:
    found, sentence = refused(text)

    assert found == line
    assert words in sentence


def test_text_in_another_encoding_has_the_line_where_it_shows() -> None:
    assert refused("name: x\ndescription: café\n".encode("latin-1")) == (
        2,
        "it is not text in UTF-8; save it in that encoding",
    )


def test_deep_nesting_is_refused_and_crashes_nothing() -> None:
    assert "nested deeper" in refused("[" * 100_000)[1]
    assert "nested deeper" in refused("".join(f"{' ' * depth}a:\n" for depth in range(500)))[1]


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    line, sentence = refused("\n".join(lines))

    assert f"{MAX_NODES:,}" in sentence
    assert line < 10


def test_a_bomb_of_merges_is_refused_too() -> None:
    table = ", ".join(f"k{n}: 1" for n in range(2_000))
    text = f"base: &b {{{table}}}\n" + "".join(f"m{n}: {{<<: *b}}\n" for n in range(1_000))

    assert f"{MAX_NODES:,}" in refused(text)[1]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES * 1000)

    with pytest.raises(Unreadable, match="larger than 1 MiB"):
        read_file(file)


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)

    with pytest.raises(Unreadable, match="not a regular file"):
        read_file(pipe)
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        read_file(tmp_path / "missing.yaml")
