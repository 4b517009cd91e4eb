// Fills templates and applies regular expressions as LocalAI does, for scripts/go_templates.py: JSON in, JSON out.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// The structs have the fields, types and JSON names of LocalAI's.
type function struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Strict      bool           `json:"strict"`
	Parameters  map[string]any `json:"parameters"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type toolCall struct {
	Index        int          `json:"index"`
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	FunctionCall functionCall `json:"function"`
}

type prompt struct {
	SystemPrompt         string
	SuppressSystemPrompt bool
	Input                string
	Instruction          string
	Functions            []function
	MessageIndex         int
	ReasoningEffort      string
	Metadata             map[string]string
}

type message struct {
	SystemPrompt string
	Role         string
	RoleName     string
	FunctionName string
	Content      string
	MessageIndex int
	Function     bool
	FunctionCall any
	LastMessage  bool
}

type fillCase struct {
	Template string
	Shape    string
	Data     json.RawMessage
}

type expressionCase struct {
	Expression string
	Text       string
}

type filled struct {
	Output string `json:"output"`
	Error  string `json:"error"`
}

type matched struct {
	Cut   string `json:"cut"`
	First string `json:"first"`
	Error string `json:"error"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func decoded(one fillCase) any {
	switch one.Shape {
	case "prompt":
		data := prompt{}
		must(json.Unmarshal(one.Data, &data))
		return data
	case "message":
		data := message{}
		must(json.Unmarshal(one.Data, &data))
		calls := struct{ ToolCalls []toolCall }{}
		must(json.Unmarshal(one.Data, &calls))
		if calls.ToolCalls != nil {
			data.FunctionCall = calls.ToolCalls
		}
		return data
	default:
		var data any
		must(json.Unmarshal(one.Data, &data))
		return data
	}
}

func fill(one fillCase) filled {
	read, err := template.New("template").Funcs(sprig.FuncMap()).Parse(one.Template)
	if err != nil {
		return filled{Error: err.Error()}
	}
	var out bytes.Buffer
	if err := read.Execute(&out, decoded(one)); err != nil {
		return filled{Error: err.Error()}
	}
	return filled{Output: out.String()}
}

func match(one expressionCase) matched {
	compiled, err := regexp.Compile(one.Expression)
	if err != nil {
		return matched{Error: err.Error()}
	}
	return matched{Cut: compiled.ReplaceAllString(one.Text, ""), First: compiled.FindString(one.Text)}
}

func main() {
	var given struct {
		Templates   []fillCase
		Expressions []expressionCase
	}
	must(json.NewDecoder(os.Stdin).Decode(&given))
	result := struct {
		Go          string    `json:"go"`
		Templates   []filled  `json:"templates"`
		Expressions []matched `json:"expressions"`
	}{Go: runtime.Version()}
	for _, one := range given.Templates {
		result.Templates = append(result.Templates, fill(one))
	}
	for _, one := range given.Expressions {
		result.Expressions = append(result.Expressions, match(one))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(result))
}
