"""Objects of Python in model files: what they are called, and who may be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.folder.python_object import Place, place_of, refusal_of
from textmill.folder.scan import scan


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("mine:Model", Place("mine", "Model")),
        (" mine.deep.er:make ", Place("mine.deep.er", "make")),
        ("mine", None),
        ("mine:", None),
        (":Model", None),
        ("mine:Model.verb", None),
        ("mine:Model()", None),
        ("../mine:Model", None),
        ("os;x:Model", None),
    ],
)
def test_a_place_is_a_module_and_a_name(text: str, place: Place | None) -> None:
    assert place_of(text) == place
    assert place is None or str(place) == text.strip()


@pytest.mark.parametrize(
    ("allowed", "may"),
    [
        ((), False),
        (("mine",), True),
        (("mine.deep",), True),
        (("min",), False),
        (("mine.deep.er",), False),
        (("other", "mine"), True),
    ],
)
def test_a_module_may_be_imported_where_it_or_what_it_lies_in_is_allowed(
    allowed: tuple[str, ...], *, may: bool
) -> None:
    refusal = refusal_of("mine.deep:Model", allowed)

    assert (refusal is None) == may
    assert refusal is None or "start it with --python-models mine.deep" in refusal


def test_a_file_is_refused_unless_its_module_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "{name: own, backend: python, parameters: {model: 'mine:Model'}, options: ['size:3']}"
    )
    (tmp_path / "b.yaml").write_text("{name: odd, backend: python, parameters: {model: mine}}")

    found = scan(tmp_path).by_name
    assert found["own"].engine == "python"
    assert "--python-models mine" in (found["own"].refusal or "")
    assert "needs parameters.model as module:object" in (found["odd"].refusal or "")
    allowed = scan(tmp_path, python=("mine",))
    assert allowed.by_name["own"].refusal is None
    assert allowed.by_name["odd"].refusal is not None
    assert allowed.problems == ()
