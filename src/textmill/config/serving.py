"""The options of a server: our own names before those of Text Embeddings Inference, and these before YAML and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textmill.config import tei
from textmill.config.layers import Layer, settle, stated
from textmill.config.options import ServeOptions
from textmill.config.sources import Environ, environ_or, environment, flags_given, hub_defaults, yaml_file
from textmill.config.spelled import Note, join, tei_flags, tei_variables
from textmill.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Serving:
    """A server's options, and what is to be logged of where they came from, as pairs of a level and a sentence.

    ``client_batch_size`` is what `/info` says of the inputs that a request may have; ``as_tei`` is that of `serve_options`.
    """

    options: ServeOptions
    notes: tuple[Note, ...]
    client_batch_size: int | None
    as_tei: bool = False


def serve_options(flags: Mapping[str, object], environ: Environ | None = None, *, as_tei: bool = False) -> Serving:
    """The options of `textmill serve`, or of `textmill tei`, from flags by parameter, the environment and YAML.

    A flag of None or () was not given. Raises ConfigInvalid for an unknown variable or key, for an impossible value, and for
    two that contradict each other; it names where they stand and repeats no secret.
    """
    environ = environ_or(environ)
    notes: list[Note] = []
    theirs = {spelling.parameter for spelling in tei.SPELLINGS if spelling.own}
    own = flags_given(ServeOptions, {name: value for name, value in flags.items() if name not in theirs})
    given = join(own, tei_flags(flags, notes))
    variables, hub = environment(ServeOptions, environ)
    spelled = tei_variables(environ, {*given, *variables}, notes)
    layers = [given, variables, spelled, hub]
    layers.append(yaml_file(ServeOptions, layers))
    layers.append(_defaults(layers, as_tei=as_tei))
    if as_tei and stated(layers, "models") is None:
        msg = "textmill tei needs a model: --model-id, MODEL_ID, or its name as an argument"
        raise ConfigInvalid(msg)
    options = settle(ServeOptions, [*layers, hub_defaults(environ)])
    size = options.max_client_batch_size or (tei.BATCH_SIZE if as_tei else None)
    return Serving(options, tuple(notes), size, as_tei)


def _defaults(layers: list[Layer], *, as_tei: bool) -> Layer:
    joined = {name: value for layer in reversed(layers) for name, value in layer.items()}
    version = joined.get("tei_compat")
    chosen: tei.Version = "1.6" if version is not None and version.value == "1.6" else "1.9"
    made = tei.defaults(chosen, joined, serve=not as_tei)
    return {name: value for name, value in made.items() if name not in joined}
