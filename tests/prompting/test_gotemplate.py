"""What Go's text/template and Sprig made of the same templates; `scripts/go_templates.py` wrote it down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.prompting.cases import Case, cases
from tests.prompting.shapes import value

from textmill.errors import TemplateBroken
from textmill.prompting import GoTemplate

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/go_templates.json").read_text())
PAIRS = list(zip(cases(), GOLDEN["templates"], strict=True))


@pytest.mark.parametrize(("case", "golden"), PAIRS, ids=[str(index) for index in range(len(PAIRS))])
def test_a_template_gives_what_go_gives(case: Case, golden: dict[str, str]) -> None:
    assert (case.template, case.shape) == (golden["template"], golden["shape"]), "run scripts/go_templates.py"
    data = value(case.shape, case.data)

    if "error" in golden:
        with pytest.raises(TemplateBroken):
            GoTemplate.read(case.template).fill(data)
    else:
        assert GoTemplate.read(case.template).fill(data) == golden["output"]


def test_threads_fill_one_template_at_once() -> None:
    template = GoTemplate.read("{{$n := 0}}{{range $i, $v := .l}}{{$n = $i}}{{$v}}{{end}}{{$n}}")
    texts = [[f"{thread}.", "a"] for thread in range(40)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda values: template.fill({"l": list(values)}), texts))

    assert found == [f"{thread}.a1" for thread in range(40)]


def test_the_data_of_one_filling_do_not_reach_the_next() -> None:
    template = GoTemplate.read('{{$d := dict "a" 1}}{{$_ := set $d "b" .x}}{{$d}}')

    assert [template.fill({"x": 1}), template.fill({"x": 2})] == ["map[a:1 b:1]", "map[a:1 b:2]"]
