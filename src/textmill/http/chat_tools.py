"""Tools of a request for a chat: which functions the model may call, and whether it has to."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from textmill.contract import Named, Tool, ToolChoice
from textmill.errors import InvalidInput
from textmill.tasks.schemas import check_schema

_CHOICES: dict[str, ToolChoice] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
_NAME = re.compile(r"[\w.-]{1,64}")


class FunctionTool(Struct, frozen=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, Meta(description="The JSON schema of its arguments.")] = None
    strict: bool | None = None


class ChatTool(Struct, frozen=True):
    """A tool; only functions are there."""

    type: str = "function"
    function: FunctionTool | None = None


def tools_of(tools: Sequence[ChatTool] | None, functions: Sequence[FunctionTool] | None) -> tuple[Tool, ...]:
    """The functions of either spelling. Raises InvalidInput for both, for what is no function, and for names that are none or twice."""
    if tools and functions:
        msg = "give either 'tools' or the older 'functions', not both"
        raise InvalidInput(msg, param="functions")
    field = "functions" if functions else "tools"
    listed = functions or [_function(tool, index) for index, tool in enumerate(tools or ())]
    found = [_tool(function, f"{field}[{index}]", field) for index, function in enumerate(listed)]
    twice = next((name for name, times in Counter(tool.name for tool in found).items() if times > 1), None)
    if twice is not None:
        msg = f"{field} has two functions called {twice!r}; each needs a name of its own"
        raise InvalidInput(msg, param=field)
    return tuple(found)


def choice_of(given: str | dict[str, Any] | None, tools: Sequence[Tool], field: str) -> ToolChoice:
    """Whether a tool is to be called, as a word, as an object, or as the JSON of one. Raises InvalidInput for one that is not there."""
    given = _read(given, field)
    choice = _CHOICES.get(given) if isinstance(given, str) else None
    if given is None or choice in ("auto", "none"):
        return choice or "auto"
    if not tools:
        msg = f"{field} asks for a call, and there are no tools"
        raise InvalidInput(msg, param=field)
    if choice is not None:
        return choice
    name = _name(given)
    if name is None:
        msg = f"{field} is {json.dumps(given)[:80]}; it may be auto, none, required, or an object that names a function"
        raise InvalidInput(msg, param=field)
    if name not in [tool.name for tool in tools]:
        msg = f"{field} names {name[:64]!r}, which is none of the tools"
        raise InvalidInput(msg, param=field)
    return Named(name)


def _function(tool: ChatTool, index: int) -> FunctionTool:
    if tool.type != "function" or tool.function is None:
        msg = f"tools[{index}] is of type {tool.type[:40]!r}; only functions go, with their description in 'function'"
        raise InvalidInput(msg, param="tools")
    return tool.function


def _tool(function: FunctionTool, path: str, param: str) -> Tool:
    if not _NAME.fullmatch(function.name):
        msg = (
            f"{path} is called {function.name[:64]!r}; a name has 1 to 64 letters, digits, dots, dashes and underscores"
        )
        raise InvalidInput(msg, param=param)
    if function.parameters is not None:
        check_schema(function.parameters, f"{path}.function.parameters" if param == "tools" else f"{path}.parameters")
        if function.parameters.get("type", "object") != "object":
            msg = f"{path}: the arguments of a function are an object, and its parameters say {function.parameters['type']!r:.40}"
            raise InvalidInput(msg, param=param)
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters,
        strict=bool(function.strict),
    )


def _read(given: str | dict[str, Any] | None, field: str) -> str | dict[str, Any] | None:
    if not (isinstance(given, str) and given.lstrip().startswith("{")):
        return given
    try:
        read: dict[str, Any] = json.loads(given)
    except (ValueError, RecursionError):
        msg = f"{field} begins as JSON, and is none"
        raise InvalidInput(msg, param=field) from None
    return read


def _name(given: object) -> str | None:
    if not isinstance(given, dict):
        return None
    function = given.get("function", given)
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
