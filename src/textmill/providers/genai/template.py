"""A folder's tokenizer.json and chat template, read without transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from textmill.checkpoint.jsonfile import JsonFile
from textmill.errors import ModelBroken

_TOOLS, _USUAL = "tool_use", "default"


class FolderTokenizer:
    """What `textmill.runtimes.causal_words.TokenizerWords` wants of a tokenizer of transformers. Raises ModelBroken."""

    def __init__(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            msg = f"{folder} has no tokenizer.json; put that of the model beside its openvino_model.xml"
            raise ModelBroken(msg)
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises Exception itself
            msg = f"{file} cannot be read: {error}"
            raise ModelBroken(msg) from error
        self._config = JsonFile.read_if_there(folder / "tokenizer_config.json").data
        self._special = _special(JsonFile.read_if_there(folder / "special_tokens_map.json").data, self._config)
        self.chat_template = _template(folder, self._config)

    @property
    def ends(self) -> tuple[int, ...]:
        """The id of the token that ends a text, as the tokenizer's own file has it."""
        found = self.backend_tokenizer.token_to_id(self._special.get("eos_token", ""))
        return () if found is None else (found,)

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: None = None,
        *,
        add_generation_prompt: bool = False,
        tokenize: bool = False,
        **values: Any,
    ) -> str:
        """A conversation as the template writes it, as transformers does. Raises what Jinja does."""
        del tokenize
        template = self.chat_template
        if isinstance(template, Mapping):
            template = template[_TOOLS if tools and _TOOLS in template else _USUAL]
        given = {**self._special, **values}
        return self._environment.from_string(template or "").render(
            messages=conversation,
            tools=tools,
            documents=documents,
            add_generation_prompt=add_generation_prompt,
            **given,
        )

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Written, loopcontrols])
        made.filters["tojson"] = _json
        made.globals["raise_exception"] = _raise
        made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - the local day
        return made


class _Written(Extension):
    """``generation`` blocks, which say for training what the model wrote."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The block's content."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _json(value: object, indent: int | None = None, separators: Any = None, *, sort_keys: bool = False) -> str:
    """JSON as templates are written for: other letters stay what they are, and nothing is escaped for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _template(folder: Path, config: Mapping[str, Any]) -> str | Mapping[str, str] | None:
    file = folder / "chat_template.jinja"
    try:
        if file.is_file():
            return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file} cannot be read: {error}"
        raise ModelBroken(msg) from error
    found = (JsonFile.read_if_there(folder / "chat_template.json").data or config).get("chat_template")
    if isinstance(found, list):
        named = {str(each["name"]): str(each["template"]) for each in found if isinstance(each, Mapping)}
        return named if _USUAL in named else next(iter(named.values()), None)
    return found if isinstance(found, str) else None


def _special(*files: Mapping[str, Any]) -> dict[str, str]:
    """The texts of special tokens by their names, such as bos_token; templates write them."""
    made: dict[str, str] = {}
    for file in files:
        for name, value in file.items():
            text = value.get("content") if isinstance(value, Mapping) else value
            if name.endswith("_token") and isinstance(text, str):
                made[name] = text
    return made
