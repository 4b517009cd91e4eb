"""A model file as facts, and all those of a folder by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from textmill.contract import USUAL, EmbedDefaults
from textmill.folder.backends import Engine
from textmill.folder.capabilities import Capability
from textmill.folder.external import External
from textmill.folder.fields import Fields
from textmill.folder.location import Location
from textmill.folder.problem import Problem
from textmill.folder.snapshot import Stamp
from textmill.folder.weights import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model that a folder offers. Two that are equal need not be loaded anew: where the entry stands does not count.

    ``file`` and ``line`` are its YAML entry's, or its weights and 0. ``backend`` is the usual name of the backend that it names,
    empty where it names none, ``external`` that backend's process. ``facts`` are None for weights that are not here, ``stamps`` those of
    the weights' files. ``options`` are values of `textmill.config.ModelOptions` by name; ``defaults`` are what embedding means where a
    request does not say. ``backend_options`` are the entries of `options` by name. ``refusal`` is
    why the model cannot be served, None where it can; ``reasons`` say how that came about. A model that is not ``listed`` answers to its
    name only: the weights of another model file.
    """

    name: str
    file: Path = field(compare=False)
    line: int = field(default=0, compare=False)
    fields: Fields
    backend: str = ""
    engine: Engine
    external: External | None = None
    location: Location
    facts: Facts | None = None
    stamps: tuple[Stamp, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    defaults: EmbedDefaults = USUAL
    backend_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusal: str | None = None
    reasons: tuple[str, ...] = field(default=(), compare=False)
    listed: bool = field(default=True, compare=False)

    @property
    def model(self) -> str:
        """What `textmill.load` and other engines are given: a path, an id of the hub, a URI, or a provider's name."""
        place = self.location
        return str(place.path) if place.path is not None else place.repo or place.uri or place.named

    @property
    def disabled(self) -> bool:
        """Whether its file switches it off."""
        return bool(self.fields.disabled)

    @property
    def pinned(self) -> bool:
        """Whether it is never to be unloaded to make room."""
        return bool(self.fields.pinned)

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of models of which one at most is loaded."""
        return self.fields.concurrency_groups or ()

    @property
    def most(self) -> int | None:
        """Requests that may use it at once; None for any number."""
        return (self.fields.limits and self.fields.limits.max_concurrent) or None

    @property
    def retry_after(self) -> float:
        """Seconds after which a request beyond that may come back."""
        return float((self.fields.limits and self.fields.limits.retry_after_seconds) or 1)


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of the model ``target``."""

    name: str
    target: str
    file: Path = field(compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """A models folder: its model files in the order of their names, its aliases, and what is wrong in it."""

    path: Path
    files: tuple[ModelFile, ...] = ()
    aliases: tuple[Alias, ...] = ()
    problems: tuple[Problem, ...] = ()

    def find(self, name: str) -> ModelFile | None:
        """The model of exactly that name or alias; None where the folder has none."""
        target = next((alias.target for alias in self.aliases if alias.name == name), name)
        return next((model for model in self.files if model.name == target), None)

    def target(self, name: str) -> str:
        """The name that an alias stands for; any other name is its own."""
        return next((alias.target for alias in self.aliases if alias.name == name), name)

    def fitting(self, capability: Capability) -> tuple[ModelFile, ...]:
        """The models that can do this and can be served: listed ones that are not switched off."""
        return tuple(
            model
            for model in self.files
            if model.listed and not model.disabled and model.refusal is None and capability in model.capabilities
        )

    @property
    def by_name(self) -> Mapping[str, ModelFile]:
        """The models by their names."""
        return {model.name: model for model in self.files}

    @property
    def unreadable(self) -> bool:
        """Whether it could not be read just now, so that its models are those of before."""
        return any(problem.file == self.path and problem.level == "error" for problem in self.problems)

    def broken(self, name: str) -> tuple[Problem, ...]:
        """The errors that keep an entry of that name from being served."""
        return tuple(problem for problem in self.problems if problem.level == "error" and problem.model == name)

    def near(self, name: str) -> str:
        """The name or alias that is nearest to a misspelt one; empty where none is near."""
        names = [model.name for model in self.files if model.listed] + [alias.name for alias in self.aliases]
        return next(iter(difflib.get_close_matches(name, names, n=1)), "")
