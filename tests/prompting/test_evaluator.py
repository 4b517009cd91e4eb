from __future__ import annotations

import pytest

from textmill.errors import TemplateBroken
from textmill.prompting import GoTemplate
from textmill.prompting.values import Record, Value

DATA: dict[str, Value] = {"s": "a", "nil": None, "l": ["a", "b"], "n": 3.0, "m": {"k": "v"}}
FAULTS = [
    (
        "{{.s.x}}",
        "1:3: a text has no field .x; check with if that there is something, or take parts of lists with index",
    ),
    (
        "\n {{if .s}}{{ .nil.x }}{{end}}",
        "2:14: nil has no field .x; check with if that there is something, or take parts of lists with index",
    ),
    ("{{.s 1}}", "1:6: .s is no function and takes no arguments; there may be a function or a | missing"),
    ("{{$.s 1}}", "1:7: $.s is no function and takes no arguments; there may be a function or a | missing"),
    ("{{. 1}}", "1:5: . is no function and takes no arguments; there may be a function or a | missing"),
    ("{{'a' 1}}", "1:7: 97 is no function and takes no arguments; there may be a function or a | missing"),
    (
        "{{(1) 1}}",
        "1:7: what is in parentheses is no function and takes no arguments; there may be a function or a | missing",
    ),
    ("{{.s | .l}}", "1:8: behind | comes the name of a function, not .l"),
    ("{{nil}}", "1:3: nil alone prints nothing and is not allowed; use it as an argument, as in eq .Content nil"),
    ('{{template "no" .}}', '1:3: there is no template "no" here; define it with {{define "no"}} … {{end}}'),
    ('{{define "tools"}}{{end}}{{template "tool"}}', '1:28: there is no template "tool" here; do you mean "tools"?'),
    ("{{range .s}}{{end}}", "1:9: range goes through lists, maps and whole numbers, not through a text"),
    ("{{range $i, $v := 3}}{{end}}", "1:9: range over a number sets one variable, not two"),
    (
        "{{if $x := 1}}{{$y := 1}}{{$y}}{{else}}{{end}}{{range 1}}{{and}}{{end}}",
        "1:60: and takes 1 argument or more, not 0",
    ),
    (
        "{{if .no}}{{$y := 1}}{{else}}{{$y}}{{end}}",
        "1:32: the variable $y was made in a part of the template that was not run; make it before",
    ),
    (
        "{{eq .n 3}}",
        "1:3: a number with a point and a whole number cannot be compared; numbers in JSON are ones with a point, such as 1.0",
    ),
    ('x{{.s | upper | indent "2"}}', "1:17: argument 1 of indent must be a whole number, not a text"),
    ("{{index .l 2}}", "1:3: there is no place 2 in something of length 2; places count from 0"),
    ('{{fail "the conversation is empty"}}', "1:3: the conversation is empty"),
]


@pytest.mark.parametrize(("source", "expected"), FAULTS)
def test_faults_have_their_place_and_a_way_out(source: str, expected: str) -> None:
    with pytest.raises(TemplateBroken) as caught:
        GoTemplate.read(source, "t").fill(DATA)

    assert str(caught.value) == f"t:{expected}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("System", "do you mean .SystemPrompt?"),
        ("input", "do you mean .Input?"),
        ("Zzz", "there are .SystemPrompt, .Input"),
    ],
)
def test_a_field_that_a_struct_does_not_have_is_named_with_those_that_it_has(name: str, hint: str) -> None:
    record = Record("Prompt", {"SystemPrompt": "", "Input": ""})

    with pytest.raises(TemplateBroken) as caught:
        GoTemplate.read(f"{{{{.{name}}}}}", "t").fill(record)

    assert str(caught.value) == f"t:1:3: there is no field .{name} here; {hint}"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{range 100000000}}x{{end}}", "steps"),
        ("{{range 2000}}{{range 2000}}{{end}}{{end}}", "steps"),
        ("{{range .big}}{{range $.big}}{{range $.big}}{{end}}{{end}}{{end}}", "steps"),
        ("{{until 100000000}}", "numbers"),
        ("{{untilStep 0 9000000000000000000 1}}", "numbers"),
        ('{{repeat 1000000000 "abc"}}', "characters"),
        ('{{indent 1000000000 "abc"}}', "characters"),
        ('{{$s := "ab"}}{{range 64}}{{$s = print $s $s}}{{end}}', "characters"),
        ('{{$s := "ab"}}{{range 64}}{{$s = replace "a" $s $s}}{{end}}', "characters"),
        ("{{$l := list 1}}{{range 64}}{{$l = list $l $l}}{{end}}{{$l}}", "deep"),
        ("{{$l := list 1}}{{range 40}}{{$l = list $l $l}}{{end}}{{$l}}", "steps|characters"),
        ("{{$l := list 1}}{{range 40}}{{$l = list $l $l}}{{end}}{{toJson $l}}", "steps|characters"),
        ('{{$l := list 1}}{{range 40}}{{$l = list $l $l}}{{end}}{{printf "%d" $l}}', "steps|characters"),
        (
            "{{$l := list 1}}{{$k := list 1}}{{range 40}}{{$l = list $l $l}}{{$k = list $k $k}}{{end}}{{deepEqual $l $k}}",
            "steps",
        ),
        ("{{$l := list 1}}{{range 64}}{{$l = concat $l $l}}{{end}}", "steps"),
        ('{{$d := dict}}{{$_ := set $d "d" $d}}{{$d}}', "in itself"),
        ('{{$d := dict}}{{$_ := set $d "d" $d}}{{toJson $d}}', "in itself"),
        ('{{$d := dict}}{{$_ := set $d "d" $d}}{{printf "%s" $d}}', "in itself"),
        ('{{define "r"}}{{template "r" .}}{{end}}{{template "r" .}}', "deep in each other"),
        ('{{define "r"}}{{range 9}}{{template "r" .}}{{end}}{{end}}{{template "r" .}}', "deep in each other"),
        ('{{printf "%1000000000d" 1}}', "more than 10,000 characters"),
        ('{{printf "%.1000000000f" 1.5}}', "more than 10,000 characters"),
        ("{{fromJson .nested}}{{mustFromJson .nested}}", "no JSON|deep"),
        ('{{range .big}}{{range $.big}}{{splitList "" $.text}}{{end}}{{end}}', "steps|characters"),
    ],
)
def test_what_would_not_end_or_not_fit_is_stopped(source: str, reason: str) -> None:
    data: Value = {"big": [0.0] * 5000, "nested": "[" * 100_000, "text": "x" * 100_000}

    with pytest.raises(TemplateBroken, match=reason):
        GoTemplate.read(source).fill(data)


def test_a_long_conversation_fits() -> None:
    text = "word " * 200_000

    assert GoTemplate.read("{{range .}}{{trim .}}{{end}}").fill([text] * 8) == text.strip() * 8


def test_a_loop_that_is_left_keeps_what_it_assigned() -> None:
    source = '{{$last := ""}}{{range .l}}{{$last = .}}{{if eq . "a"}}{{break}}{{end}}{{end}}{{$last}}'

    assert GoTemplate.read(source).fill(DATA) == "a"


def test_what_decides_first_hides_faults_behind_it() -> None:
    # https://pkg.go.dev/text/template#hdr-Functions: and, or "evaluation ... proceeds through the arguments left to right"
    assert GoTemplate.read("{{if and .m.none .s.x}}a{{else}}b{{end}}{{or .s .s.x}}").fill(DATA) == "ba"
