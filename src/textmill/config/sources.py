"""Where options come from: what was given, then the environment, then a YAML file, then the struct's defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from textmill.config.option import PREFIX, Option, nearest, options_of
from textmill.config.options import ModelOptions, ServeOptions
from textmill.errors import ConfigInvalid

Kind = TypeVar("Kind", bound=ModelOptions)
Environ = Mapping[str, str]


def model_options(given: Mapping[str, object], environ: Environ | None = None) -> ModelOptions:
    """The options of a model from the keywords of `textmill.load`, then the environment.

    None counts as not given. Raises ConfigInvalid for an unknown keyword or variable and for an impossible value.
    """
    options = {option.name: option for option in options_of(ModelOptions)}
    for name in given:
        if name not in options:
            msg = f"load() has no option {name!r}{nearest(name, options)}"
            raise ConfigInvalid(msg)
    stated = {name: options[name].convert(value, name) for name, value in given.items() if value is not None}
    return msgspec.convert(_from_environment(ModelOptions, _environ(environ)) | stated, ModelOptions)


def command_options(kind: type[Kind], flags: Mapping[str, object], environ: Environ | None = None) -> Kind:
    """The options of a command from its flags by field name, the environment, and the YAML file that these name.

    A flag of None or () was not given. Raises ConfigInvalid for an unknown variable or key and for an impossible value.
    """
    options = {option.name: option for option in options_of(kind)}
    stated = {
        name: options[name].convert(value, options[name].flag)
        for name, value in flags.items()
        if value is not None and value != ()
    }
    values = _from_environment(kind, _environ(environ)) | stated
    file = values.get("config")
    if isinstance(file, str):
        values = _from_yaml(kind, Path(file)) | values
    return msgspec.convert(values, kind)


def _environ(environ: Environ | None) -> Environ:
    return os.environ if environ is None else environ  # noqa: TID251 - the one place that reads the environment


def _from_environment(kind: type[ModelOptions], environ: Environ) -> dict[str, object]:
    # A variable of another command is no mistake here; a variable of none is one everywhere.
    known = {option.variable for option in options_of(ServeOptions)}
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            msg = f"there is no option for the environment variable {name}{nearest(name, known)}"
            raise ConfigInvalid(msg)
    values = _from_hub_variables(environ)
    for option in options_of(kind):
        text = environ.get(option.variable, "")
        if option.secret and option.variable in environ and not text.strip():
            # A script whose own variable is not set must not open the server to everyone.
            msg = f"{option.variable} is set but empty; unset it, or give it a value"
            raise ConfigInvalid(msg)
        if text:
            values[option.name] = option.convert(_listed(option, text), option.variable)
    return values


def _listed(option: Option, text: str) -> object:
    """Text of a variable; one that takes several has commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if option.kind is tuple else text


def _from_hub_variables(environ: Environ) -> dict[str, object]:
    """What the hub's own client takes from the environment, so that both find the same files (its environment page)."""
    options = {option.name: option for option in options_of(ModelOptions)}
    home = environ.get("HF_HOME") or str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    folder = Path(environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    values: dict[str, object] = {"cache_dir": str(folder.expanduser())}
    for name, variable in (("token", "HF_TOKEN"), ("offline", "HF_HUB_OFFLINE")):
        text = environ.get(variable, "").strip()
        if text:
            values[name] = options[name].convert(text, variable)
    return values


def _from_yaml(kind: type[ModelOptions], file: Path) -> dict[str, object]:
    import yaml  # noqa: PLC0415 - costs start-up time, and most starts have no file

    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        msg = f"the configuration file {file} cannot be read: {error.strerror}"
        raise ConfigInvalid(msg) from error
    except yaml.YAMLError as error:
        msg = f"the configuration file {file} is not YAML: {' '.join(str(error).split())}"
        raise ConfigInvalid(msg) from error
    if not isinstance(content, Mapping | None):
        msg = f"the configuration file {file} must hold one mapping of options, such as 'port: 8080'"
        raise ConfigInvalid(msg)
    options = {option.name: option for option in options_of(kind) if option.name != "config"}
    content = _flat(content or {}, file)
    for key in content:
        if key not in options:
            msg = f"{file} has an unknown option {key!r}{nearest(str(key), options)}"
            raise ConfigInvalid(msg)
    stated = {key: value for key, value in content.items() if value is not None}
    return {key: options[key].convert(value, f"{key} in {file}") for key, value in stated.items()}


def _flat(content: Mapping[Any, object], file: Path) -> Mapping[Any, object]:
    """The mapping with what stands under ``model``, the options of a model, brought up beside the others."""
    inner = content.get("model")
    if not isinstance(inner, Mapping):
        return content
    own = {option.name for option in options_of(ModelOptions)}
    for key in inner:
        if key not in own:
            msg = f"{file} has an unknown option model.{key}{nearest(str(key), own)}"
            raise ConfigInvalid(msg)
    return {key: value for key, value in content.items() if key != "model"} | dict(inner)
