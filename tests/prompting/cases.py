"""Templates and data whose results Go itself computed: `scripts/go_templates.py` writes them to tests/golden/go_templates.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Shape = Literal["json", "prompt", "message"]

DATA: dict[str, object] = {
    "s": 'héllo <b>&"x"\u2028',
    "e": "",
    "n": 3,
    "f": 1.5,
    "big": 1234567.0,
    "huge": 1e21,
    "tiny": 0.00001,
    "z": 0,
    "t": True,
    "no": False,
    "nil": None,
    "l": ["a", "b", "c"],
    "l0": [],
    "mix": [1, "x", None, True, 2.5, {"k": "v"}],
    "m": {"b": 1, "a": "x", "c": {"d": [1, 2]}},
    "m0": {},
    "multi": "one\ntwo\n three",
    "spaced": "  \t x y \n",
    "args": '{"q": [1, 2.50, null], "u": "<é>"}',
}
TOOL = {
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name <of> it"},
            "days": {"type": "integer", "description": "How many", "maximum": 10},
        },
        "required": ["city"],
    },
}
PROMPT: dict[str, object] = {
    "SystemPrompt": "Be kind.",
    "Input": "Hello",
    "Instruction": "Shout",
    "Functions": [TOOL, {"name": "stop", "description": ""}],
    "ReasoningEffort": "low",
    "Metadata": {"user": "me"},
}
MESSAGE: dict[str, object] = {
    "Role": "user: ",
    "RoleName": "user",
    "Content": "Hi",
    "MessageIndex": 2,
    "LastMessage": True,
}
CALL: dict[str, object] = {
    "RoleName": "assistant",
    "ToolCalls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "<1>"}'}}],
}
OLD_CALL: dict[str, object] = {
    "RoleName": "assistant",
    "FunctionCall": {"name": "f", "arguments": '{"a": 1}', "n": 1.0},
}


@dataclass(frozen=True, slots=True)
class Case:
    """``shape`` says what ``data`` is: JSON, or the fields of one of LocalAI's two structs."""

    template: str
    data: dict[str, object] = field(default_factory=lambda: DATA)
    shape: Shape = "json"


def cases() -> list[Case]:
    """All of them."""
    return [
        *(Case(template) for template in (*SYNTAX, *BLOCKS, *FAULTS, *PRINTED, *FUNCTIONS, *TEXTS, *VALUES)),
        *(Case(template, PROMPT, "prompt") for template in PROMPTS),
        *(Case(template, data, "message") for template in MESSAGES for data in (MESSAGE, CALL, OLD_CALL)),
    ]


SYNTAX = (
    "",
    "plain text {not} { {an action} }",
    "{{ 1 }}{{-2}}{{- 3 -}} {{ -4 -}} x {{- 5}}",
    "a \n {{- /* a comment */ -}} \n b{{/* another */}} c {{- /* x */}} d {{/* y */ -}} e",
    "{{23 -}} < {{- 45}}",
    '{{`raw \\n "text"`}}{{"tab\\tquote\\"\\x41\\u00e9\\U0001F600\\101"}}',
    "{{'a'}} {{'\\n'}} {{'é'}} {{'\\''}} {{'\"'}}",
    "{{1}} {{-1}} {{+7}} {{0x1F}} {{0b101}} {{0o17}} {{017}} {{1_000}} {{1.5}} {{1e3}} {{.5}} {{1.}} {{1e100}} {{-0.0}}",
    "{{9223372036854775807}} {{1000000.0}} {{123456789.0}} {{1e20}} {{1e21}} {{0.0001}} {{0.00001}}",
    "{{true}} {{false}}",
    "{{.s}}|{{.e}}|{{.n}}|{{.f}}|{{.t}}|{{.nil}}|{{.missing}}|{{.missing.deeper}}|{{.m.c.d}}|{{.m.zz}}",
    "{{.l}} {{.l0}} {{.mix}} {{.m}} {{.m0}}",
    "{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}{{$y := .m}}{{$y.c.d}}{{$.s}}{{$.m.a}}{{$}}",
    '{{ .s | printf "%s-%s" "x" }} {{ "a" | print | upper }} {{ (print "a" "b") | printf "%q" }}',
    '{{ (index .m "c").d }} {{ (.m).a }} {{ (dict "a" (dict "b" 1)).a.b }}',
    '{{\n  .n\n  | printf "%v"\n}}',
    '{{print 1 2}} {{print "a" 1 2 "b" "c" 3}} {{println "a" 1}} {{print}} {{print nil}} {{print .missing}} {{print .nil 1}}',
    '{{ . | len }} {{ . | len | printf "%03d" }}',
    '{{`{{"example": 1}}`}}',
    "{{with $x := .n}}{{$x}}{{end}} {{if $x := .e}}a{{else}}[{{$x}}]{{end}}",
    "{{$a := 1}}{{if true}}{{$a := 2}}{{$a}}{{end}}{{$a}}{{if true}}{{$a = 3}}{{end}}{{$a}}",
    'é{{- /**/ -}}  ü{{""}}',
    "{{list 1 2|len}}{{(list 1 2)|first}}",
    'x{{- "" }}\n\ny {{ "" -}}\n\n z',
    '{{print (1) ((2)) (print ("a"))}}',
)
BLOCKS = (
    "{{if .e}}a{{else if .z}}b{{else if .nil}}c{{else if .l0}}d{{else if .m0}}e{{else if .no}}f{{else if .missing}}g{{else}}h{{end}}",
    "{{if .s}}a{{end}}{{if .n}}b{{end}}{{if .l}}c{{end}}{{if .m}}d{{end}}{{if .t}}e{{end}}{{if -0.0}}f{{end}}{{if 0.1}}g{{end}}",
    "{{range .l}}[{{.}}]{{end}}{{range $i, $v := .l}}{{$i}}={{$v}};{{end}}{{range $v := .l}}{{$v}}{{end}}",
    "{{range .m}}({{.}}){{end}}{{range $k, $v := .m}}{{$k}}:{{$v}},{{end}}{{range $k := .m}}<{{$k}}>{{end}}",
    "{{range .l0}}a{{else}}none{{end}}{{range .nil}}a{{else}}nil{{end}}{{range .missing}}a{{else}}missing{{end}}{{range .m0}}{{else}}m{{end}}",
    "{{range 3}}{{.}}{{end}}{{range $i := 2}}<{{$i}}>{{end}}{{range 0}}x{{else}}zero{{end}}",
    '{{range $i, $v := .l}}{{if eq $i 1}}{{continue}}{{end}}{{$v}}{{end}} {{range .l}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}',
    "{{range .l}}{{range 5}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}};{{end}}",
    '{{$x := ""}}{{range $i, $x = .l}}{{end}}{{$x}}',
    "{{$i := 0}}{{$v := 0}}{{range $i, $v = .l}}{{end}}{{$i}}{{$v}}",
    "{{with .m}}{{.a}}{{$.n}}{{end}}{{with .e}}a{{else}}b{{.n}}{{end}}{{with .e}}{{else with .f}}{{.}}{{else}}c{{end}}",
    '{{define "t"}}<{{.}}{{$}}>{{end}}{{template "t" .n}}{{template "t"}}{{template "t" "x"}}{{block "u" .l}}{{len .}}{{end}}{{template "u" "abc"}}',
    '{{define "r"}}{{if .}}{{first .}}{{template "r" (rest .)}}{{end}}{{end}}{{template "r" .l}}',
    '{{define "x"}}only{{end}}',
    "{{range $i, $e := .l}}{{if $i}}, {{end}}{{$e}}{{end}}",
    '{{if and .s .n}}both{{end}}{{if or .e .z "x"}}one{{end}}{{and 1 0 .missing.x}}{{or 0 "" "z"}}{{not .e}}{{not 1}}',
    '{{and .nil 1}} {{or .missing .nil}} {{1 | and 2}} {{0 | or 0}} {{"x" | or ""}}',
    "{{if not (eq .n 3.0)}}no{{else}}yes{{end}}",
    "{{range .mix}}{{kindOf .}} {{end}}",
    "{{- range $i, $x := list 1 2 }}\n{{ $i }}: {{ $x }}\n{{- end }}",
)
FAULTS = (
    "{{",
    "{{ .x",
    '{{ "abc }}',
    "{{ `abc }}",
    "{{ 'a }}",
    "{{/* x",
    "{{/* x */ y}}",
    "{{ if }}x{{end}}",
    "{{if .x}}",
    "{{end}}",
    "{{else}}",
    "{{if .x}}{{else}}{{else}}{{end}}",
    "{{range}}{{end}}",
    "{{nope .x}}",
    "{{.x nope}}",
    "{{$u}}",
    "{{$u = 1}}",
    "{{(1}}",
    "{{1)}}",
    "{{.s | }}",
    "{{ | .s}}",
    "{{.s || .e}}",
    "{{1 | 2}}",
    "{{.s | .e}}",
    '{{.s | "x"}}',
    "{{nil}}",
    "{{.s.x}}",
    "{{.nil.x}}",
    "{{.l.x}}",
    "{{.n.x}}",
    "{{.s 1}}",
    "{{1 2}}",
    '{{template "no" .}}',
    "{{template no}}",
    '{{define "a"}}x{{end}}{{define "a"}}y{{end}}',
    '{{if .x}}{{define "a"}}{{end}}{{end}}',
    "{{break}}",
    '{{range .l}}{{template "b"}}{{end}}{{define "b"}}{{continue}}{{end}}',
    "{{eq 1 1.0}}",
    "{{eq .n 3}}",
    '{{lt 1 "a"}}',
    "{{lt true false}}",
    "{{eq .l .l}}",
    "{{eq .m .m}}",
    "{{eq}}",
    "{{eq 1}}",
    "{{lt 1}}",
    "{{ne 1 2 3}}",
    "{{index .l 3}}",
    "{{index .l -1}}",
    '{{index .l "a"}}',
    "{{index .m 1}}",
    "{{index .nil 1}}",
    "{{index .n 1}}",
    '{{index .missing "x"}}',
    '{{index .m "zz" "y"}}',
    "{{len .n}}",
    "{{len nil}}",
    "{{len .nil}}",
    "{{not}}",
    "{{upper 1}}",
    "{{upper .nil}}",
    "{{upper .missing}}",
    "{{upper}}",
    '{{upper "a" "b"}}',
    '{{trimSuffix "a"}}',
    '{{repeat "a" 3}}',
    '{{repeat -1 "a"}}',
    "{{first .s}}",
    "{{first .nil}}",
    "{{has 1 .s}}",
    '{{fail "no"}}',
    "{{div 1 0}}",
    "{{mod 1 0}}",
    '{{substr 2 99 "abc"}}{{substr 5 2 "abc"}}',
    "{{slice .l 2 1}}",
    "{{slice .s 1}}",
    '{{dig "a" 1}}',
    '{{dig "a" "x" "d" .m}}',
    '{{mustFromJson "{"}}',
    "{{range .s}}{{end}}",
    "{{range .f}}{{end}}",
    "{{range .t}}{{end}}",
    "{{range $i, $v := 3}}{{end}}",
    "{{range $a, $b, $c := .l}}{{end}}",
    "{{$a, $b := .l}}",
    "{{.x?}}",
    "{{.s+1}}",
    "{{a.b}}",
    '{{"a".b}}',
    "{{1.x}}",
    "{{0x}}",
    "{{1__0}}",
    "{{09}}",
    "{{'ab'}}",
    "{{''}}",
    '{{"\\z"}}',
    '{{"\\\'"}}',
    "{{9223372036854775808}}",
    "{{ternary 1 2 3}}",
    '{{get .s "a"}}',
    '{{hasKey .nil "a"}}',
    "{{atoi 3}}",
    "{{default}}",
    "{{print .s.t.u}}",
    "{{with .s}}{{.x}}{{end}}",
    "{{if .s}}{{.Foo.bar}}{{end}}",
    "{{:}}",
    "{{$x : 1}}",
    "{{ . . }}",
    "{{true.x}}",
    "{{define .x}}{{end}}",
    '{{define "a" .}}{{end}}',
    '{{block "a"}}{{end}}',
    '{{block "a" .}}{{else}}{{end}}',
    "{{else if .x}}{{end}}",
    "{{if .x}}{{else with .y}}{{end}}{{end}}",
    "{{end .x}}",
    "{{if .x}}{{else .y}}{{end}}",
    "{{printf 1}}",
    "{{printf}}",
    "{{nil | print}}",
    "{{eq nil nil}}",
    "{{eq .s nil}}",
    "{{toJson}}",
    '{{join ","}}',
    "{{index}}",
    "{{range .l}}{{$.m.a.b}}{{end}}",
    "{{if}}{{end}}",
    "{{}}",
    "{{ }}",
    "{{and}}",
    "{{or}}",
    "{{ (.s) 1 }}",
    "{{()}}",
    "{{$x := }}",
    "{{if $x := 1, 2}}{{end}}",
)
PRINTED = (
    "{{.big}} {{.huge}} {{.tiny}} {{.f}} {{.n}} {{print .big .huge}} {{toJson .big}} {{toJson .huge}} {{toJson .tiny}} {{toJson 0.0000001}} {{toJson -0.0}}",
    '{{printf "%v %s %q %d %t %f %g %e %x %X %c %U" .l .s .s 5 true 1.5 1.5 1500.0 255 255 65 65}}',
    '{{printf "%5d|%-5d|%05d|%+d|% d|%x|%o|%b|%#x" 42 42 42 42 42 -42 8 5 255}}',
    '{{printf "%8.3f|%-8.2f|%+.1f|%08.3f|%.0f|%6.2e|%G" 3.14159 3.14159 3.14159 -3.14159 2.5 12345.678 1e-10}}',
    '{{printf "%10s|%-10s|%.2s|%q|%x|%X|%5q" "abc" "abc" "héllo" "a\\"b\\n\\x01é" "hi" "hi" "a"}}',
    '{{printf "%d %s" "a" 1}} {{printf "%d"}} {{printf "x" 1 "a" nil}} {{printf "%z" 1}} {{printf "100%"}} {{printf "%%"}} {{printf "%!"}}',
    '{{printf "%v %v %v" .nil .missing nil}} {{printf "%s" nil}} {{printf "%d" .nil}} {{printf "%t" 1}} {{printf "%s" true}} {{printf "%s" 1.5}}',
    '{{printf "%s %v %d" .l .mix (list 1 2)}} {{printf "%q" .l}} {{printf "%v" .m}} {{printf "%s" .m0}} {{printf "%5v|%-5v|%05v" 1 2 3}}',
    '{{printf "%.3g %.10g %g %g" 1234.5678 1234.5678 100000.0 1e21}} {{printf "%6.3v|" 3.14159}} {{printf "%c%c" 233 128512}} {{printf "%q" 65}}',
    '{{printf "%.3d|%8.3d|%+05d" 5 5 5}} {{printf "%t|%5t|%-6t|" true false true}}',
    '{{html .s}} {{js .s}} {{urlquery .s}} {{html 1 "<" 2}} {{urlquery "a b/c?d=é&e"}} {{js "a\'b\\"c\\n="}}',
    '{{printf "%+v" .m}} {{.mix}} {{list nil 1}} {{list}} {{dict}} {{dict "a" nil}}',
    '{{printf "%s" "multi\\nline"}}|{{printf "%-4s|%4s" "é" "é"}}|{{printf "%3c|%-3c|" 65 65}}',
    '{{printf "%v|%6v|%-8v|" 1e6 1e6 "a"}} {{printf "%g %e %E %F" 0.000001 0.0 1e6 1.25}}',
)
FUNCTIONS = (
    '{{eq 1 1}}{{eq "a" "b" "a"}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt "b" "a"}}{{ge 1.5 1.5}}{{eq true true}}{{lt "Z" "a"}}',
    '{{eq .n 3.0}}{{eq .s .s}}{{eq .nil nil}}{{eq .missing "x"}}{{eq "x" .missing}}{{ne .nil "x"}}{{eq .nil .missing}}{{eq .l nil}}{{ne .m nil}}',
    '{{len .s}} {{len .l}} {{len .m}} {{len ""}} {{len .m0}}',
    '{{index .l 1}} {{index .m "a"}} {{index .m "c" "d" 1}} {{index .s 1}} {{index .m "zz"}} {{index .l}} {{print (index .m "zz")}} {{index .m.c.d 0}}',
    '{{1 | eq 1}} {{.n | lt 2.0}} {{"abc" | index (dict "abc" 5)}}',
    '{{add 1 2 3}} {{add1 .n}} {{sub 5 2}} {{mul 2 3 4}} {{div 7 2}} {{div -7 2}} {{mod 7 3}} {{mod -7 3}} {{max 1 5 3}} {{min 4 2}} {{add "5" 1.9 true nil}} {{add}}',
    '{{int "12"}} {{int "x"}} {{int 3.9}} {{int64 "0x1f"}} {{int "010"}} {{int true}} {{int nil}} {{int "12.0"}} {{int "-3"}} {{float64 "1.5"}} {{float64 3}} {{float64 "x"}} {{atoi "42"}} {{atoi "4x"}} {{atoi "-7"}} {{atoi ""}}',
    "{{add 9223372036854775807 1}} {{mul 9223372036854775807 2}} {{until 3}} {{until -2}} {{untilStep 1 10 3}} {{untilStep 5 1 -2}} {{untilStep 1 5 0}} {{until 0}}",
    '{{if gt (len .l) 2}}long{{end}} {{if and (eq .f 1.5) (ne .s "")}}y{{end}} {{if or (eq "a" "b") (not .e)}}z{{end}}',
)
TEXTS = (
    '[{{trim .spaced}}] {{trimAll "$" "$5$"}} {{trimPrefix "a" "abc"}} {{trimSuffix "c" "abc"}} {{trimSuffix "x" "abc"}} {{.spaced | trim | upper}}',
    '{{upper "straße é ǆ"}} {{lower "ÀÉİ ΑΣ"}} {{title "hello wORLD a_b x-y it\'s éa"}} {{untitle "Hello World"}} {{repeat 3 "ab"}} {{repeat 0 "ab"}}|',
    '{{contains "ell" "hello"}} {{hasPrefix "he" "hello"}} {{hasSuffix "lo" "hello"}} {{contains "" ""}} {{replace "l" "L" "hello"}} {{replace "" "-" "héy"}}',
    '{{indent 2 .multi}}|{{nindent 3 .multi}}|{{indent 0 "x"}}|{{"a\\n\\nb" | indent 1}}',
    '{{trunc 3 "abcdef"}} {{trunc -3 "abcdef"}} {{trunc 9 "abc"}} {{trunc -9 "abc"}} {{trunc 0 "abc"}}| {{substr 1 3 "abcdef"}} {{substr -1 3 "abcdef"}} {{substr 2 -1 "abcdef"}} {{substr 2 99 "abcdef"}}',
    '{{nospace " a b\\tc "}} {{plural "one" "many" 1}} {{plural "one" "many" 2}} {{cat "a" 1 nil .l}} {{cat}}| {{quote "a\\"b" 1 nil}} {{squote "a" 1.5 nil}} {{quote .s}}',
    '{{join ", " .l}} {{join "-" .mix}} {{join "-" "x"}} {{join "-" nil}}| {{join "," (list 1 2.5 true)}} {{list "b" "a" "C" | sortAlpha | join " "}} {{sortAlpha "x"}}',
    '{{split "," "a,b"}} {{(split "," "a,b")._1}} {{splitn "," 2 "a,b,c"}} {{splitList "," "a,b"}} {{splitList "" "aé"}} {{splitList "," "" | len}} {{index (split "," "a") "_7"}}|{{splitn "," 0 "a,b"}}{{splitn "," -1 "a,b,c"}}',
    '{{toString 1.5}} {{toString .l}} {{toString nil}} {{toStrings .mix}} {{toStrings 5}} {{(index .m "zz").x}} {{(.nil).x}} {{with $y := .nil}}{{else}}{{$y.x}}{{end}} {{html nil 1 .missing}} {{"a" | trim | print}}',
)
VALUES = (
    '{{default "d" .e}} {{default "d" .s}} {{default 5 .z}} {{.missing | default "d"}} {{default "d" .nil}} {{default "d" .l0}} {{default "d"}} {{.no | default true}}',
    '{{empty .e}}{{empty .s}}{{empty .nil}}{{empty .l0}}{{empty .z}}{{empty .m0}}{{empty .no}} {{coalesce .e .nil 0 "x"}} {{coalesce .e}} {{all .s .n}}{{all .s .e}}{{all}} {{any .e .n}}{{any}}',
    '{{ternary "y" "n" true}} {{ternary "y" "n" .no}} {{.t | ternary 1 2}} {{compact (list 1 "" 0 nil "a" false)}}',
    '{{toJson .s}} {{toRawJson .s}} {{toJson .mix}} {{toJson .m}} {{toJson nil}} {{toJson .missing}} {{toJson "\\x01\\b\\f\\u2029\\x7f"}} {{toJson (list)}} {{toJson (list 1 2.0 1e6)}}',
    '{{toPrettyJson .m}} {{toPrettyJson .l0}} {{toPrettyJson .m0}} {{toPrettyJson (list (dict "a" (list)))}} {{mustToJson .l}} {{mustToRawJson .m}} {{mustToPrettyJson .l}}',
    '{{(fromJson .args).u}} {{(fromJson .args).q}} {{fromJson "{"}} {{fromJson "3"}} {{index (fromJson .args).q 1}} {{fromJson .args | toJson}} {{kindOf (fromJson "1")}}',
    '{{list 1 "a" nil}} {{tuple 1 2}} {{first .l}} {{last .l}} {{rest .l}} {{initial .l}} {{first .l0}} {{rest .l0}} {{toJson (rest .l0)}} {{toJson (rest (list 1))}} {{append .l "d"}} {{push .l 1}} {{prepend .l "z"}} {{reverse .l}}',
    '{{uniq (list 1 1 "a" "a" 1.0)}} {{without .l "b"}} {{has "b" .l}}{{has "x" .l}}{{has 1 (list 1.0)}}{{has 1 nil}} {{slice .l 1}} {{slice .l 1 2}} {{slice .l}} {{slice .l0 1}} {{concat .l (list 1)}} {{concat .l0}} {{toJson (concat)}}',
    '{{dict "a" 1 "b"}} {{get .m "a"}} {{get .m "zz"}}| {{hasKey .m "a"}}{{hasKey .m "zz"}} {{keys .m | sortAlpha}} {{pluck "a" .m (dict "a" 2) .m0}} {{pick .m "a" "zz"}} {{omit .m "c"}} {{dig "c" "d" "x" .m}} {{dig "c" "zz" "x" .m}}',
    '{{$d := dict "a" 1}}{{$_ := set $d "b" 2}}{{$d}}{{$_ := unset $d "a"}}{{$d}} {{values (dict "a" 1)}} {{deepEqual (list 1 2) (list 1 2)}}{{deepEqual 1 1.0}}{{deepEqual .m .m}}',
    '{{kindOf .s}} {{kindOf .n}} {{kindOf 1}} {{kindOf .l}} {{kindOf .m}} {{kindOf .t}} {{kindOf nil}} {{kindIs "string" .s}} {{kindIs "int" .s}} {{kindOf .}}',
)
TOOLS = """\
{{ $names := "" }}You can use these tools:
{{ range .Functions -}}
* {{ .Name }}: {{ .Description }}
{{- $names = print $names .Name " " }}
{{- range $key, $value := (index .Parameters "properties") }}
  - {{ $key }} ({{ index $value "type" }}): {{ index $value "description" }}
{{- end }}
{{ end -}}
Call one of [{{ trim $names }}].
{{ .Input }}"""
PROMPTS = (
    "### Question\n{{.Input}}\n### Answer\n",
    "{{.Input -}}\n<|im_start|>assistant",
    "{{if .SystemPrompt}}{{.SystemPrompt}}\n{{end}}{{.Input}}",
    '{{range .Functions}}{"name": "{{.Name}}", "about": "{{.Description}}", "schema": {{toJson .Parameters}}}\n{{end}}{{.Input}}',
    TOOLS,
    '{{toJson .Functions}}|{{toJson .}}|{{.Functions}}|{{.}}|{{.Metadata}}|{{.Metadata.user}}|{{.Metadata.none}}|{{index .Metadata "none"}}|',
    "{{.System}}",
    "{{.Prompt}}",
    "{{.Messages}}",
    "{{.input}}",
    "{{.Functions.Name}}",
    "{{(index .Functions 0).Name}}{{(first .Functions).Description}}",
    "{{.Instruction}}: {{.Input}} {{.SuppressSystemPrompt}} {{.MessageIndex}} {{.ReasoningEffort}}",
    "{{range .Functions}}{{toPrettyJson .}}{{.Parameters.none}}{{.Parameters.type}}{{end}}",
    "{{eq . .}}",
    '{{printf "%+v" .Metadata}} {{printf "%v" (index .Functions 1)}} {{printf "%+v" (index .Functions 1)}}',
    '{{with index .Functions 0}}{{index .Parameters.required 0}}{{index .Parameters.properties.days "maximum"}}{{end}}',
    '{{hasKey . "Input"}}',
    '{{index . "Input"}}',
    "{{range .Metadata}}{{.}}{{end}}{{range $k, $v := .Metadata}}{{$k}}{{$v}}{{end}}",
    "{{if .Functions}}{{len .Functions}}{{end}}{{kindOf .}}{{kindOf .Functions}}{{if .}}t{{end}}{{empty .}}",
)
CHATML = """\
<|im_start|>{{ .RoleName }}
{{- if eq .RoleName "tool" }}
<result>
{{- end }}
{{- with .Content }}
{{ . }}
{{- end }}
{{- if .FunctionCall }}
<call>{{ toJson .FunctionCall }}</call>
{{- end }}<|im_end|>"""
LLAMA3 = """\
<|start_header_id|>{{ if .FunctionCall }}assistant{{ else if eq .RoleName "tool" "function" }}ipython{{ else }}{{ .RoleName }}{{ end }}\
<|end_header_id|>

{{ if .Content -}}
{{ .Content }}
{{- else if .FunctionCall -}}
{{ range .FunctionCall }}{{ kindOf . }} {{ end -}}
{{ end -}}
<|eot_id|>"""
LLAMA2 = """\
{{ if eq .RoleName "assistant" }} {{ .Content | trim }} </s>{{ else -}}
<s>[INST] {{ if eq .RoleName "system" }}<<SYS>>
{{ .Content }}
<</SYS>>

{{ else if .SystemPrompt }}{{ .SystemPrompt }}: {{ .Content }}{{ else }}{{ .Content }}{{ end }} [/INST]
{{- end }}"""
MESSAGES = (
    CHATML,
    LLAMA3,
    LLAMA2,
    "{{ range .FunctionCall }}{{.FunctionCall.Name}}({{.FunctionCall.Arguments}}) {{ end }}",
    '{{ index .FunctionCall "name" }}',
    "{{.Role}}{{.Content}}{{.MessageIndex}}{{.LastMessage}}{{.Function}}{{.FunctionName}}|",
    "{{.FunctionCall}} {{toJson .}}",
    "{{if and .LastMessage (eq .MessageIndex 2)}}last{{end}}",
    "{{.FunctionCall.name}}",
    "{{.Contents}}",
    "{{ .FunctionCall | toRawJson }}",
)
