"""From a model file whose backend is ``python`` to a model: the object that it names is imported, and made."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textmill.errors import ConfigInvalid, ForwardFailed
from textmill.folder.model import ModelFile
from textmill.folder.python_object import Place, is_allowed, place_of, refusal_of
from textmill.providers.custom import Custom, CustomModel
from textmill.providers.custom_object import VERBS, CustomObject


def open_custom(file: ModelFile, allowed: Sequence[str]) -> CustomModel:
    """The model of a file; blocks for as long as the object's module takes to be imported, and the object to be made.

    Only modules that are ``allowed``, or lie below one, are imported, and only classes and functions of such are called. Raises ConfigInvalid, naming the file, for whatever keeps the
    object from being a model.
    """
    place = place_of(file.model)
    refusal = refusal_of(file.model, allowed)
    if place is None or refusal is not None:
        raise ConfigInvalid(refusal or file.model)
    try:
        options = _options(file.fields.options or ())
        given = CustomObject(_made(place, options, allowed), file.model, facts=json.dumps(options, sort_keys=True))
        return CustomModel(given, file.name, Custom(), file.defaults)
    except (ConfigInvalid, ForwardFailed) as error:
        msg = f"{file.file.name}: {error}"
        raise ConfigInvalid(msg) from error


def _made(place: Place, options: Mapping[str, Any], allowed: Sequence[str]) -> object:
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
    _refuse_strange(place, found, allowed)
    try:
        return found(**options)
    except (Exception, SystemExit) as error:  # not Ctrl-C of a command, which loads in its main thread
        msg = f"{place}({', '.join(options)}) raised {type(error).__name__}: {error}"
        raise ConfigInvalid(msg) from error


def _refuse_strange(place: Place, found: Callable[..., object], allowed: Sequence[str]) -> None:
    """Raise ConfigInvalid for what a module only imports from elsewhere: with options for it, ``subprocess.run`` would be any command."""
    home = (
        getattr(found, "__module__", None) if hasattr(found, "__qualname__") else None
    )  # of objects that is their class's
    if isinstance(home, str) and not is_allowed(home, allowed):
        msg = (
            f"{place} comes from the module {home}, whose code this server may not run; name something that {place.module} "
            f"defines itself, or allow {home} by --python-models as well"
        )
        raise ConfigInvalid(msg)


def _found(place: Place) -> object:
    try:
        module = importlib.import_module(place.module)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{place.module}.".startswith(f"{error.name}.")
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
