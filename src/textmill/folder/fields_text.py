"""Top-level fields of a model file about prompts and answers, and about other things than text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from textmill.folder.fields_engine import EngineFields
from textmill.folder.function import Function
from textmill.folder.prompts import Compression, Reasoning, Template
from textmill.folder.state import acts, idle

Texts = tuple[str, ...]


class TextFields(EngineFields, frozen=True, kw_only=True):
    """Prompts and answers."""

    template: Annotated[Template | None, acts("Prompt templates")] = None
    roles: Annotated[Mapping[str, str] | None, acts("Text before a message, by its role")] = None
    system_prompt: Annotated[str | None, acts("System message where a request has none")] = None
    stopwords: Annotated[Texts | None, acts("Texts that end an answer")] = None
    cutstrings: Annotated[Texts | None, acts("Expressions that are cut from answers")] = None
    extract_regex: Annotated[Texts | None, acts("Expressions whose matches are the answer")] = None
    trimspace: Annotated[Texts | None, acts("Beginnings that are cut, with blanks")] = None
    trimsuffix: Annotated[Texts | None, acts("Endings that are cut")] = None
    grammar: Annotated[str | None, acts("Grammar (GBNF) of answers")] = None
    function: Annotated[Function | None, acts("Calls of tools")] = None
    reasoning: Annotated[Reasoning | None, acts("Reasoning in answers")] = None
    reasoning_effort: Annotated[str | None, acts("Effort where a request names none")] = None
    chat_template_kwargs: Annotated[Mapping[str, Any] | None, acts("Variables of the chat template")] = None
    compression: Annotated[Compression | None, idle("Long conversations are refused, not summed up")] = None
    feature_flags: Annotated[Mapping[str, bool] | None, idle("Tokens are always counted")] = None
    mirostat: Annotated[int | None, acts("Mirostat sampling: 0, 1 or 2")] = None
    mirostat_tau: Annotated[float | None, acts("Its target entropy")] = None
    mirostat_eta: Annotated[float | None, acts("Its learning rate")] = None
    debug: Annotated[bool | None, idle("The log's level is an option of the server")] = None
    cuda: Annotated[bool | None, idle("Images")] = None
    mmproj: Annotated[str | None, idle("Images")] = None
    pipeline_type: Annotated[str | None, idle("Images; language of rerankers")] = None
    step: Annotated[int | None, idle("Images")] = None
    cfg_scale: Annotated[float | None, idle("Images")] = None
    pipeline: Annotated[Any | None, idle("Audio")] = None
    diffusers: Annotated[Any | None, idle("Images")] = None
    tts: Annotated[Any | None, idle("Audio")] = None
    mcp: Annotated[Any | None, idle("Agents")] = None
    agent: Annotated[Any | None, idle("Agents")] = None
    pii: Annotated[Any | None, idle("Filters of LocalAI")] = None
    router: Annotated[Any | None, idle("Routing of LocalAI")] = None
    proxy: Annotated[Any | None, idle("Proxy of LocalAI")] = None
    mitm: Annotated[Any | None, idle("Proxy of LocalAI")] = None
