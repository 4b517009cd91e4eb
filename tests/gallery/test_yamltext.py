from __future__ import annotations

from typing import Any

import pytest

from textmill.errors import InvalidInput
from textmill.gallery.yamltext import merged, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("- &a\n  x: 1\n- !!merge <<: *a\n  y: 2\n", [{"x": 1}, {"x": 1, "y": 2}]),
        ("{2: a, true: b}", {"2": "a", "True": "b"}),
        ("d: 2026-01-02", {"d": "2026-01-02"}),
        ("", None),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    ],
)
def test_yaml_becomes_plain_values(text: str, value: Any) -> None:
    assert read_yaml(text, "it") == value


def test_aliases_share_nothing() -> None:
    read = read_yaml("a: &x [1]\nb: *x", "it")
    read["a"].append(2)

    assert read["b"] == [1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "it is not YAML: line 1: mapping values"),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("x: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{? [a]: b}", "unhashable key"),
        ("a: 2026-99-99", "month must be in"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 100_000, "nested deeper than 60"),
        ("\n".join(["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 200)]), "nested deeper than 60"),
        (
            "\n".join(["a0: &a0 [1]"] + [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]),
            "200,000",
        ),
        (
            "\n".join(
                ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)]
            ),
            "200,000",
        ),
    ],
    ids=range(10),
)
def test_yaml_that_is_wrong_or_explodes_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_yaml(text, "it")


def test_yaml_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="it is not YAML"):
        read_yaml(b"a: \xff\xfe\x00", "it")


def test_what_is_written_can_be_read() -> None:
    value = {"name": "ünï", "on": "yes", "no": "1.0", "list": [1, None, True, "a: b"], "text": "two\nlines\n"}

    assert read_yaml(write_yaml(value), "it") == value
    assert list(read_yaml(write_yaml(value), "it")) == list(value)


def test_a_merge_is_deep_and_leaves_its_parts_alone() -> None:
    under = {"a": {"b": 1, "c": [1]}, "d": 1}
    over = {"a": {"b": 2, "e": {"f": 3}}, "d": {"x": 1}}

    assert merged(under, over) == {"a": {"b": 2, "c": [1], "e": {"f": 3}}, "d": {"x": 1}}
    assert under == {"a": {"b": 1, "c": [1]}, "d": 1}
