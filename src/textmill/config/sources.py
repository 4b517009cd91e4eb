"""Where options come from: what was given, then the environment, then a YAML file, then the struct's defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textmill.config.layers import Kind, Layer, Stated, settle, stated
from textmill.config.option import PREFIX, Option, nearest, options_of
from textmill.config.options import ModelOptions, ServeOptions
from textmill.errors import ConfigInvalid

Environ = Mapping[str, str]

_OF_A_SERVICE = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
"""What Kubernetes sets in every container beside a service called textmill (its page on environment variables of services)."""
_LINK = re.compile(r"(tcp|udp|sctp)://")
"""How the value of such a service's TEXTMILL_PORT begins."""


def model_options(given: Mapping[str, object], environ: Environ | None = None) -> ModelOptions:
    """The options of a model from the keywords of `textmill.load`, then the environment.

    None counts as not given. Raises ConfigInvalid for an unknown keyword or variable and for an impossible value.
    """
    options = {option.name: option for option in options_of(ModelOptions)}
    for name in given:
        if name not in options:
            msg = f"load() has no option {name!r}{nearest(name, options)}"
            raise ConfigInvalid(msg)
    environ = environ_or(environ)
    keywords = {
        name: Stated(options[name].convert(value, name), name) for name, value in given.items() if value is not None
    }
    return settle(ModelOptions, [keywords, *environment(ModelOptions, environ), hub_defaults(environ)])


def command_options(kind: type[Kind], flags: Mapping[str, object], environ: Environ | None = None) -> Kind:
    """The options of a command from its flags by field name, the environment, and the YAML file that these name.

    A flag of None or () was not given. Raises ConfigInvalid for an unknown variable or key and for an impossible value.
    """
    environ = environ_or(environ)
    layers = [flags_given(kind, flags), *environment(kind, environ)]
    return settle(kind, [*layers, yaml_file(kind, layers), hub_defaults(environ)])


def environ_or(environ: Environ | None) -> Environ:
    """The variables, or those of the process."""
    return os.environ if environ is None else environ  # noqa: TID251 - the one place that reads the environment


def flags_given(kind: type[ModelOptions], flags: Mapping[str, object]) -> Layer:
    """What the flags state; those of None or () were not given."""
    options = {option.name: option for option in options_of(kind)}
    where = {name: "MODEL" if name == "models" else option.flag for name, option in options.items()}
    return {
        name: Stated(options[name].convert(value, where[name]), where[name])
        for name, value in flags.items()
        if value is not None and value != ()
    }


def environment(kind: type[ModelOptions], environ: Environ) -> tuple[Layer, Layer]:
    """What our own variables state, and behind them those of the hub's client."""
    # A variable of another command is no mistake here; a variable of none is one everywhere.
    known = {option.variable for option in options_of(ServeOptions)}
    own = {name: text for name, text in environ.items() if name.startswith(PREFIX) and not _is_of_a_service(name, text)}
    for name in own:
        if name not in known:
            msg = f"there is no option for the environment variable {name}{nearest(name, known, PREFIX)}"
            raise ConfigInvalid(msg)
    values: dict[str, Stated] = {}
    for option in options_of(kind):
        text = own.get(option.variable, "")
        if (option.secret or option.guard) and option.variable in own:
            refuse_blank(text, option.variable)
        if text:
            values[option.name] = Stated(option.convert(_listed(option, text), option.variable), option.variable)
    return values, _hub_variables(environ)


def refuse_blank(text: str, variable: str) -> None:
    """Raise ConfigInvalid for what is set but blank: a script whose own variable is not set must not open the server."""
    if not text.strip():
        msg = f"{variable} is set but empty; unset it, or give it a value"
        raise ConfigInvalid(msg)


def hub_defaults(environ: Environ) -> Layer:
    """Where the hub's own client has its cache if nothing else is said."""
    home = Path(environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface", "hub").expanduser()
    return {"cache_dir": Stated(str(home), "XDG_CACHE_HOME")}


def yaml_file(kind: type[ModelOptions], layers: Sequence[Layer]) -> Layer:
    """What the YAML file states that these layers name; nothing where they name none."""
    named = stated(layers, "config")
    return _read_yaml(kind, Path(str(named.value))) if named is not None else {}


def _is_of_a_service(name: str, text: str) -> bool:
    return bool(_OF_A_SERVICE.fullmatch(name)) or (name.endswith("_PORT") and bool(_LINK.match(text)))


def _listed(option: Option, text: str) -> object:
    """Text of a variable; one that takes several has commas between them, unless it is a JSON list of objects."""
    if option.kind is not tuple or text.lstrip().startswith("[{"):
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _hub_variables(environ: Environ) -> Layer:
    """What the hub's own client takes from the environment, so that both find the same files (its environment page)."""
    options = {option.name: option for option in options_of(ModelOptions)}
    values: dict[str, Stated] = {}
    for variable, below in (("HF_HOME", "hub"), ("HF_HUB_CACHE", "")):
        if environ.get(variable):
            values["cache_dir"] = Stated(str(Path(environ[variable], below).expanduser()), variable)
    for name, variable in (("token", "HF_TOKEN"), ("offline", "HF_HUB_OFFLINE")):
        text = environ.get(variable, "").strip()
        if text:
            values[name] = Stated(options[name].convert(text, variable), variable)
    return values


def _read_yaml(kind: type[ModelOptions], file: Path) -> Layer:
    import yaml  # noqa: PLC0415 - costs start-up time, and most starts have no file

    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        msg = f"the configuration file {file} cannot be read: {error.strerror}"
        raise ConfigInvalid(msg) from error
    except yaml.YAMLError as error:
        msg = f"the configuration file {file} is not YAML{_place(error)}"
        raise ConfigInvalid(msg) from None
    if not isinstance(content, Mapping | None):
        msg = f"the configuration file {file} must hold one mapping of options, such as 'port: 8080'"
        raise ConfigInvalid(msg)
    options = {option.name: option for option in options_of(kind) if option.name != "config"}
    content = _flat(content or {}, file)
    for key in content:
        if key not in options:
            msg = f"{file} has an unknown option {key!r}{nearest(str(key), options)}"
            raise ConfigInvalid(msg)
        if content[key] is None and options[key].guard:
            refuse_blank("", f"{key} in {file}")
    return {
        key: Stated(options[key].convert(value, f"{key} in {file}"), f"{key} in {file}")
        for key, value in content.items()
        if value is not None
    }


def _place(error: Exception) -> str:
    """Where YAML breaks off. The parser's own words repeat the line, and with it a secret that may stand there."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f": line {mark.line + 1}, column {mark.column + 1}"
    position = getattr(error, "position", None)
    return "" if position is None else f": a character that it may not have, at position {position}"


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
