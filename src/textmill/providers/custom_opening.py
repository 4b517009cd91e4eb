"""From a model file whose backend is ``python`` to a model: the object that it names is imported, and made."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from textmill.errors import ConfigInvalid, ForwardFailed
from textmill.folder.model import ModelFile
from textmill.folder.python_object import Place, place_of, refusal_of
from textmill.providers.custom import Custom, CustomModel
from textmill.providers.custom_object import VERBS, CustomObject


def open_custom(file: ModelFile, allowed: Sequence[str]) -> CustomModel:
    """The model of a file; blocks for as long as the object's module takes to be imported, and the object to be made.

    Only modules that are ``allowed``, or lie below one, are imported. Raises ConfigInvalid, naming the file, for whatever keeps the
    object from being a model.
    """
    place = place_of(file.model)
    refusal = refusal_of(file.model, allowed)
    if place is None or refusal is not None:
        raise ConfigInvalid(refusal or file.model)
    try:
        options = _options(file.fields.options or ())
        given = CustomObject(_made(place, options), file.model, facts=json.dumps(options, sort_keys=True))
        return CustomModel(given, file.name, Custom(), file.defaults)
    except (ConfigInvalid, ForwardFailed) as error:
        msg = f"{file.file.name}: {error}"
        raise ConfigInvalid(msg) from error


def _made(place: Place, options: Mapping[str, Any]) -> object:
    """The object at a place: an instance as it is, a class or a function called with the options."""
    found = _found(place)
    if not isinstance(found, type) and any(callable(getattr(found, verb, None)) for verb in VERBS):
        if options:
            msg = f"{place} is an object already, so there is nothing to give its options to: {', '.join(options)}; name a class or a function"
            raise ConfigInvalid(msg)
        return found
    if not callable(found):
        msg = f"{place} is of type {type(found).__name__}; it must be an object that embeds, reranks or classifies, or a class or a function that makes one"
        raise ConfigInvalid(msg)
    try:
        return found(**options)
    except BaseException as error:
        msg = f"{place}({', '.join(options)}) raised {type(error).__name__}: {error}"
        raise ConfigInvalid(msg) from error


def _found(place: Place) -> object:
    try:
        module = importlib.import_module(place.module)
    except BaseException as error:
        missing = isinstance(error, ModuleNotFoundError) and place.module.startswith(error.name or "?")
        hint = "; install its package, or put its folder into PYTHONPATH" if missing else ""
        msg = f"the module {place.module} cannot be imported: {type(error).__name__}: {error}{hint}"
        raise ConfigInvalid(msg) from error
    try:
        return getattr(module, place.name)
    except AttributeError:
        msg = f"the module {place.module} has nothing called {place.name}"
        raise ConfigInvalid(msg) from None


def _options(entries: Sequence[str]) -> dict[str, Any]:
    """KEY:VALUE texts as keywords; values that are JSON, such as numbers and lists, are what they say, and others texts."""
    made: dict[str, Any] = {}
    for entry in entries:
        name, colon, value = (part.strip() for part in entry.partition(":"))
        if not name.isidentifier() or not colon:
            msg = f"the option {entry!r} must be NAME:VALUE, which is given as a keyword"
            raise ConfigInvalid(msg)
        try:
            made[name] = json.loads(value)
        except ValueError:
            made[name] = value
    return made
