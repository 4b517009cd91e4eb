from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.model_fields import PAGE, page

from textmill.folder.described import Described, described, without_effect
from textmill.folder.fields import Fields
from textmill.folder.parameters import Parameters
from textmill.folder.scan import scan


def test_the_page_has_the_fields_as_they_are() -> None:
    text = PAGE.read_text()

    assert page(text) == text, "run scripts/model_fields.py"


@pytest.mark.parametrize("field", described(), ids=lambda field: field.key)
def test_every_field_has_a_state_and_a_meaning(field: Described) -> None:
    assert re.fullmatch("acts|without effect here|comes with .+", field.state)
    assert field.means[0] != " "
    assert field.means[-1] != "."


def test_sections_are_described_with_what_is_in_them() -> None:
    keys = [field.key for field in described()]

    assert keys[:2] == ["name", "alias"]
    assert {
        "parameters.model",
        "function.grammar.triggers[].word",
        "artifacts[].source.repo",
        "limits.max_concurrent",
    } <= set(keys)
    assert len(keys) == len(set(keys))


def test_a_section_that_acts_is_looked_into() -> None:
    fields = Fields(threads=1, numa=True, parameters=Parameters(model="x", echo=True))

    assert [each.key for each in without_effect(fields)] == ["parameters.echo", "numa"]


def test_the_examples_of_the_page_are_read(tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)):
        (tmp_path / f"{number}.yaml").write_text(block)

    folder = scan(tmp_path)

    assert folder.problems == ()
    assert {model.name: dict(model.options) for model in folder.files} == {
        "text-embedding-ada-002": {"task": "embed"},
        "e5": {"task": "embed", "default_prompt": "query: ", "dtype": "int8"},
    }
