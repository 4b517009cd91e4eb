"""How a model answers where a request does not say: what its model file sets, with the texts of its templates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, TypeVar

from textmill.contract import ChatOptions, CompleteOptions, Format, Message, Sampling
from textmill.errors import ModelBroken, TemplateBroken
from textmill.folder.fields import Fields
from textmill.folder.model import ModelFile
from textmill.folder.parameters import Parameters
from textmill.folder.prompts import Template
from textmill.prompting import Cleaning, Prompts, Templates
from textmill.providers.calling import Calling, calling_of

Asked = TypeVar("Asked", ChatOptions, CompleteOptions)

_log = logging.getLogger("textmill")

_LONGEST = 1 << 20
_MOST_WARNINGS = 100
_SAMPLED = tuple(each.name for each in fields(Sampling) if each.name != "logit_bias")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What a model file says of answers.

    ``prompts`` are its templates, used for conversations where ``renders`` is set, else the model's own template is,
    and for edits where ``edits`` is. ``stop`` goes with
    each request's own. ``hidden`` leaves reasoning out, ``plain`` leaves it within the text of templates; unless
    ``prefilled``, a mark that a prompt ends with opens none.
    """

    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str = ""
    system_prompt: str = ""
    reasoning_effort: str | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: Prompts = field(default_factory=lambda: Prompts.of(Templates()))
    renders: bool = False
    edits: bool = False
    cleaning: Cleaning = field(default_factory=Cleaning)
    cleans: bool = False
    calling: Calling = field(default_factory=Calling)
    hidden: bool = False
    plain: bool = False
    prefilled: bool = True

    def options(self, asked: Asked) -> Asked:
        """A request's options with what the file says where it does not."""
        usual = {name: getattr(self.sampling, name) for name in _SAMPLED if getattr(asked.sampling, name) is None}
        bias = asked.sampling.logit_bias or self.sampling.logit_bias
        made = replace(
            asked,
            sampling=replace(asked.sampling, **usual, logit_bias=bias),
            stop=tuple(dict.fromkeys((*asked.stop, *self.stop))),
            max_tokens=_limit(self.max_tokens if asked.max_tokens is None else asked.max_tokens),
        )
        free = not isinstance(made, ChatOptions) or not made.tools
        if self.grammar and made.format is None and free:
            made = replace(made, format=Format("grammar", self.grammar))
        if isinstance(made, ChatOptions):
            effort = made.reasoning_effort or self.reasoning_effort
            made = replace(
                made, reasoning_effort=effort, template_kwargs={**self.template_kwargs, **made.template_kwargs}
            )
        return made

    def messages(self, asked: Sequence[Message]) -> Sequence[Message]:
        """A conversation with the file's system message where it has none."""
        if not self.system_prompt or any(message.role == "system" for message in asked):
            return asked
        return (Message(role="system", content=self.system_prompt), *asked)


def _limit(tokens: int | None) -> int | None:
    """A limit as engines have it: None for none."""
    return tokens if tokens is not None and tokens > 0 else None


def usual_of(file: ModelFile, folder: Path) -> Usual:
    """What a model file of the models folder ``folder`` says; reads its .tmpl files.

    A template that is none is told of in the log, and left out, as LocalAI has it. Raises ModelBroken for an expression that is none, with
    the field's name.
    """
    stated = file.fields
    template = stated.template or Template()
    read = _Reader(folder)
    texts = {name: read.text(getattr(template, name), f"template.{name}") for name in _TEMPLATES}
    beside = read.beside(file)
    own = bool(template.use_tokenizer_template) or not (
        texts["chat"] or texts["chat_message"] or texts["function"] or beside
    )
    templates = Templates(
        **texts,
        every=beside,
        join="\n" if template.join_chat_messages_by_character is None else template.join_chat_messages_by_character,
        roles=stated.roles or {},
        system_prompt=stated.system_prompt or "",
    )
    parameters = stated.parameters or Parameters()
    reasoning = stated.reasoning
    return Usual(
        sampling=_sampling(stated, parameters),
        max_tokens=parameters.max_tokens if (parameters.max_tokens or 0) > 0 else None,
        stop=tuple(word for word in stated.stopwords or () if word),
        grammar=stated.grammar or "",
        system_prompt=stated.system_prompt or "",
        reasoning_effort=stated.reasoning_effort,
        template_kwargs=stated.chat_template_kwargs or {},
        prompts=Prompts.of(templates, _Teller(file.name)),
        renders=not own,
        edits=bool(texts["edit"] or beside),
        cleaning=_cleaning(stated, template),
        cleans=_cleans(stated, template),
        calling=calling_of(stated.function),
        hidden=bool(reasoning and reasoning.strip_reasoning_only),
        plain=bool(reasoning and reasoning.disable),
        prefilled=not (reasoning and reasoning.disable_reasoning_tag_prefill),
    )


_TEMPLATES = ("chat", "chat_message", "completion", "edit", "function")


def _sampling(stated: Fields, parameters: Parameters) -> Sampling:
    keep = parameters.n_keep if parameters.n_keep is not None else parameters.keep
    bias = {int(key): value for key, value in (parameters.logit_bias or {}).items() if key.isascii() and key.isdigit()}
    own = {name: getattr(parameters, name) for name in _SAMPLED if hasattr(parameters, name)}
    # LocalAI's file has 0 for penalties that it does not set.
    for name in ("repeat_penalty", "presence_penalty", "frequency_penalty", "repeat_last_n"):
        own[name] = own[name] or None
    mirostat = {name: getattr(stated, name) for name in ("mirostat", "mirostat_tau", "mirostat_eta")}
    return Sampling(**(own | mirostat | {"n_keep": keep}), logit_bias=bias)


def _cleans(stated: Fields, template: Template) -> bool:
    return bool(
        stated.cutstrings or stated.extract_regex or stated.trimspace or stated.trimsuffix or template.reply_prefix
    )


def _cleaning(stated: Fields, template: Template) -> Cleaning:
    return Cleaning.of(
        cutstrings=stated.cutstrings or (),
        extract_regex=stated.extract_regex or (),
        trimspace=stated.trimspace or (),
        trimsuffix=stated.trimsuffix or (),
        reply_prefix=template.reply_prefix or "",
    )


class _Teller:
    """Warns of what is wrong with templates of a model, each time that it is something else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[str] = set()

    def __call__(self, fault: TemplateBroken) -> None:
        sentence = str(fault)
        if sentence not in self._told and len(self._told) < _MOST_WARNINGS:
            self._told.add(sentence)
            _log.warning("%s: %s; the template is left out", self._name, sentence)


class _Reader:
    """Reads .tmpl files of a models folder, and of nowhere else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, stated: str | None, field_: str) -> str | None:
        """The content of the .tmpl file that a field names; its value itself where there is none. Raises ModelBroken."""
        if not stated or "\n" in stated or "{{" in stated:
            return stated
        found = self._content(f"{stated}.tmpl", field_)
        return stated if found is None else found

    def beside(self, file: ModelFile) -> str | None:
        """The content of the file beside the weights, `WEIGHTS.tmpl`. Raises ModelBroken."""
        place = file.location.path
        if place is None:
            return None
        try:
            name = place.relative_to(self._folder).as_posix()
        except ValueError:
            return None
        return self._content(f"{name}.tmpl", "template")

    def _content(self, name: str, field_: str) -> str | None:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            return None
        try:
            path = (self._folder / relative).resolve()
            if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
                return None
            with path.open(encoding="utf-8") as opened:
                text = opened.read(_LONGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{field_}: {name} cannot be read: {error}"
            raise ModelBroken(msg) from None
        if len(text) > _LONGEST:
            msg = f"{field_}: {name} has more than {_LONGEST} characters"
            raise ModelBroken(msg)
        return text
