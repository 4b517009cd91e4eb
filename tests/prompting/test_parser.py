from __future__ import annotations

import pytest

from textmill.errors import ModelBroken, TemplateBroken
from textmill.prompting import GoTemplate
from textmill.prompting.limits import MOST_NESTING, MOST_SOURCE

FAULTS = [
    ("{{ if }}x{{end}}", "1:7: a value is missing in this if"),
    ("a\n{{if .x}}b", "2:3: this {{if}} has no {{end}}"),
    ("{{range .x}}{{if .y}}{{end}}", "1:3: this {{range}} has no {{end}}"),
    ("x{{end}}", "1:4: this {{end}} belongs to nothing"),
    ("{{ else }}", "1:4: this {{else}} belongs to nothing"),
    ("{{if 1}}{{else}}{{else}}{{end}}", "1:19: this {{if}} has an else already; one {{end}} is missing before"),
    ("{{.x tojson}}", "1:6: there is no function tojson; do you mean toJson?"),
    ("{{Input}}", "1:3: there is no function Input; fields are written with a dot, .Input, and texts in quotes"),
    ("{{$u}}", "1:3: there is no variable $u here; make it first with {{$u := …}}"),
    ("{{$name := 1}}{{$nam}}", "1:17: there is no variable $nam here; do you mean $name?"),
    ("{{if 1}}{{$a := 1}}{{end}}{{$a}}", "1:29: there is no variable $a here; make it first with {{$a := …}}"),
    ("{{define `t`}}{{$a}}{{end}}", "1:17: there is no variable $a here; make it first with {{$a := …}}"),
    ("{{ | .s}}", "1:4: a value is missing beside this |"),
    ("{{1 | 2}}", "1:7: behind | comes the name of a function, which takes what is before it"),
    ("{{template no}}", '1:12: template needs a name in quotes, such as {{template "tools"}}'),
    ('{{define "a"}}x{{end}}{{define "a"}}y{{end}}', '1:25: "a" is defined twice; give one of the two another name'),
    (
        '{{if 1}}{{define "a"}}{{end}}{{end}}',
        "1:11: define may not stand inside another block; move it to the top of the template",
    ),
    ('{{block "a" .}}{{else}}{{end}}', "1:18: block takes no else"),
    ("{{break}}", "1:3: {{break}} may stand only between {{range}} and its {{end}}"),
    (
        '{{range .l}}{{end}}{{define "b"}}{{continue}}{{end}}',
        "1:36: {{continue}} may stand only between {{range}} and its {{end}}",
    ),
    ("{{range $a, $b, $c := .l}}{{end}}", "1:15: range cannot set so many variables; {{range $i, $v := …}} sets two"),
    ('{{"a".b}}', '1:6: "a" has no fields'),
    ("{{1.x}}", "1:3: 1.x is not a number that templates understand, such as 3, -1.5 or 0x1f"),
    ("{{'ab'}}", "1:3: 'ab' must be one character; put a text in double quotes"),
    ('{{"\\z"}}', "1:3: \\z is no escape; a backslash is written as \\\\"),
    ("{{9223372036854775808}}", "1:3: 9223372036854775808 does not fit into 64 bits"),
    ("{{if .x}}{{else .y}}{{end}}", "1:17: '.y' is too much; {{else}} takes nothing more"),
    ("{{eq .x end}}", "1:9: the word end cannot stand here; it begins an action of its own"),
    ("{{f(x)}}", "1:3: there is no function f; fields are written with a dot, .f, and texts in quotes"),
    ("{{upper(.x)}}", "1:8: '(' cannot stand here; there may be a space or a | missing before it"),
    ("{{}}", "1:3: a value is missing in this action"),
    ("{{()}}", "1:4: a value is missing in this parenthesis"),
    ('{{env "HOME"}}', "1:3: env: a template may not look at the machine or the network; write the value into it"),
    ("{{now}}", "1:3: now: a template gives the same prompt each time; let the request's messages say what time it is"),
    ("{{uuidv4}}", "1:3: uuidv4: a template gives the same prompt each time; chance has no place in it"),
    ("{{call .f}}", "1:3: call: no field holds a function that it could call; leave it out"),
]


@pytest.mark.parametrize(("source", "expected"), FAULTS)
def test_faults_have_their_place_and_a_way_out(source: str, expected: str) -> None:
    with pytest.raises(TemplateBroken) as caught:
        GoTemplate.read(source, "template.chat")

    assert str(caught.value) == f"template.chat:{expected}"
    line, column, _ = expected.split(":", 2)
    assert (caught.value.template, caught.value.line, caught.value.column) == ("template.chat", int(line), int(column))


def test_a_broken_template_is_a_broken_model() -> None:
    with pytest.raises(ModelBroken, match=r"^t:3:5: there is no variable \$x here"):
        GoTemplate.read("{{/* one\n two */}}é\n🙂{{ $x }}", "t")


@pytest.mark.parametrize(
    "source",
    [
        "{{" + "(" * 10_000 + "1" + ")" * 10_000 + "}}",
        "{{if 1}}" * 10_000 + "{{end}}" * 10_000,
        "{{range .}}" * 10_000,
        '{{block "a" .}}' * 10_000,
    ],
    ids=["parentheses", "ifs", "unclosed", "blocks"],
)
def test_deep_nesting_is_refused(source: str) -> None:
    with pytest.raises(TemplateBroken, match=f"nested more than {MOST_NESTING} deep"):
        GoTemplate.read(source)


def test_what_is_long_but_flat_is_read() -> None:
    chain = "{{if .a}}a" + "{{else if .b}}b" * 5000 + "{{else}}c{{end}}"
    pipe = "{{1" + " | print" * 5000 + "}}"

    assert GoTemplate.read(chain).fill({"a": False, "b": False}) == "c"
    assert GoTemplate.read(pipe).fill(None) == "1"


def test_the_deepest_nesting_is_filled() -> None:
    depth = MOST_NESTING - 1
    source = "{{if 1}}" * depth + "x" + "{{end}}" * depth + "{{" + "(" * depth + "1" + ")" * depth + "}}"

    assert GoTemplate.read(source).fill(None) == "x1"


def test_a_crowd_of_variables_is_refused() -> None:
    with pytest.raises(TemplateBroken, match="more than 500 variables here"):
        GoTemplate.read("".join(f"{{{{$v{index} := 1}}}}" for index in range(600)))


def test_a_template_that_is_too_long_is_refused() -> None:
    with pytest.raises(TemplateBroken, match="more than 262,144 characters"):
        GoTemplate.read("x" * (MOST_SOURCE + 1))
