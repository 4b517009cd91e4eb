"""The options of a server: our own names before those of other software, and these before YAML and defaults."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textmill.config import localai, tei
from textmill.config.layers import Layer, settle, stated
from textmill.config.network import network_fault
from textmill.config.options import ServeOptions
from textmill.config.sources import Environ, environ_or, environment, flags_given, hub_defaults, yaml_file
from textmill.config.spelled import Note, flags_spelled, join, said, variables_spelled
from textmill.config.spelling import Table
from textmill.errors import ConfigInvalid

TABLES: tuple[Table, ...] = (tei.TABLE, localai.TABLE)
"""What `textmill serve` takes beside our own names; `textmill tei` takes the first only."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server's options, and what is to be logged of where they came from, as pairs of a level and a sentence.

    ``client_batch_size`` is what `/info` says of the inputs that a request may have; ``as_tei`` is that of `serve_options`.
    ``origins`` name the flag, variable or key of each option that something states.
    """

    options: ServeOptions
    notes: tuple[Note, ...]
    client_batch_size: int | None
    as_tei: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


def serve_options(flags: Mapping[str, object], environ: Environ | None = None, *, as_tei: bool = False) -> Serving:
    """The options of `textmill serve`, or of `textmill tei`, from flags by parameter, the environment and YAML.

    A flag of None or () was not given. Raises ConfigInvalid for an unknown variable or key, for an impossible value, and for
    two that contradict each other; it names where they stand and repeats no secret.
    """
    environ = environ_or(environ)
    fault = network_fault(environ)
    # Much serves without the network; what needs it fails with the same words.
    notes: list[Note] = [(logging.WARNING, f"{fault}. Until then nothing is downloaded")] if fault else []
    theirs = {spelling.parameter for table in TABLES for spelling in table.spellings if spelling.own}
    own = flags_given(ServeOptions, {name: value for name, value in flags.items() if name not in theirs})
    variables, hub = environment(ServeOptions, environ)
    given = join(own, flags_spelled(tei.TABLE, flags, notes))
    local: Layer = {}
    if not as_tei:
        given, local = _localai(flags, environ, given, variables, notes)
    spelled = variables_spelled(tei.TABLE, environ, {*given, *variables, *local}, notes)
    layers = [given, variables, local, spelled, hub]
    layers.append(yaml_file(ServeOptions, layers))
    layers.append(_defaults(layers, as_tei=as_tei))
    if as_tei and stated(layers, "models") is None:
        msg = "textmill tei needs a model: --model-id, MODEL_ID, or its name as an argument"
        raise ConfigInvalid(msg)
    layers.append(hub_defaults(environ))
    options = settle(ServeOptions, layers)
    size = options.max_client_batch_size or (tei.BATCH_SIZE if as_tei else None)
    origins = {name: each.where for layer in reversed(layers) for name, each in layer.items()}
    return Serving(options, tuple(notes), size, as_tei, origins)


def _localai(
    flags: Mapping[str, object], environ: Environ, given: Layer, variables: Layer, notes: list[Note]
) -> tuple[Layer, Layer]:
    """What was ``given`` with LocalAI's flags too, and what its variables state."""
    notes += localai.unknown(
        environ
    )  # a name that is misspelt does not show that LocalAI is meant, and must not be silent
    path = stated([given, variables], "models_path")
    folder = Path(str(path.value) if path is not None else environ.get("MODELS_PATH") or "models")
    if not localai.meant(flags, environ, folder):
        return given, {}
    read = localai.environ_of(environ)
    notes += localai.env_files()
    device = stated([given, variables], "device")
    others = {**said(localai.TABLE, flags, read), **({} if device is None else {"device": str(device.value)})}
    given = join(given, flags_spelled(localai.TABLE, flags, notes, others))
    return given, variables_spelled(localai.TABLE, read, {*given, *variables}, notes, others)


def _defaults(layers: list[Layer], *, as_tei: bool) -> Layer:
    joined = {name: value for layer in reversed(layers) for name, value in layer.items()}
    version = joined.get("tei_compat")
    chosen: tei.Version = "1.6" if version is not None and version.value == "1.6" else "1.9"
    made = tei.defaults(chosen, joined, serve=not as_tei)
    return {name: value for name, value in made.items() if name not in joined}
