"""JSON as LocalAI's structs, for cases that Go computed."""

from __future__ import annotations

from collections.abc import Mapping

from textmill.prompting.values import NilList, NilMap, Record, Texts, Value, from_json

FUNCTION_NAMES = {"Name": "name", "Description": "description", "Strict": "strict", "Parameters": "parameters"}
CALL_NAMES = {"Index": "index", "ID": "id", "Type": "type", "FunctionCall": "function"}
ARGUMENT_NAMES = {"Name": "name?", "Arguments": "arguments"}


def value(shape: str, data: Mapping[str, object]) -> Value:
    parsed = from_json(data)
    assert isinstance(parsed, dict)
    if shape == "json":
        return parsed
    return prompt(parsed) if shape == "prompt" else message(parsed)


def prompt(given: dict[str, Value]) -> Record:
    functions: list[Value] = [function(each) for each in as_list(given.get("Functions"))]
    metadata = given.get("Metadata")
    return Record(
        "main.Prompt",
        {
            **{name: given.get(name, "") for name in ("SystemPrompt",)},
            "SuppressSystemPrompt": False,
            "Input": given.get("Input", ""),
            "Instruction": given.get("Instruction", ""),
            "Functions": functions or NilList(),
            "MessageIndex": 0,
            "ReasoningEffort": given.get("ReasoningEffort", ""),
            "Metadata": Texts(metadata) if isinstance(metadata, dict) else NilMap(),
        },
    )


def function(given: Value) -> Record:
    assert isinstance(given, dict)
    fields: dict[str, Value] = {
        "Name": given["name"],
        "Description": given["description"],
        "Strict": False,
        "Parameters": given.get("parameters", NilMap()),
    }
    return Record("main.Function", fields, FUNCTION_NAMES)


def message(given: dict[str, Value]) -> Record:
    calls: list[Value] = [call(each) for each in as_list(given.get("ToolCalls"))]
    texts = ("SystemPrompt", "Role", "RoleName", "FunctionName", "Content")
    index = given.get("MessageIndex", 0)
    assert isinstance(index, float | int)
    return Record(
        "main.Message",
        {
            **{name: given.get(name, "") for name in texts},
            "MessageIndex": int(index),
            "Function": False,
            "FunctionCall": calls or given.get("FunctionCall"),
            "LastMessage": given.get("LastMessage", False),
        },
    )


def call(given: Value) -> Record:
    assert isinstance(given, dict)
    inner = given["function"]
    assert isinstance(inner, dict)
    arguments = Record("main.FunctionCall", {"Name": inner["name"], "Arguments": inner["arguments"]}, ARGUMENT_NAMES)
    return Record(
        "main.ToolCall", {"Index": 0, "ID": given["id"], "Type": given["type"], "FunctionCall": arguments}, CALL_NAMES
    )


def as_list(given: Value) -> list[Value]:
    return given if isinstance(given, list) else []
