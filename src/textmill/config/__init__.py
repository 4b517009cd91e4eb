"""Options: read once at the edge from flags, environment and YAML; the only room that reads the environment."""

from textmill.config.keyfile import read_keys
from textmill.config.options import ModelOptions, ServeOptions
from textmill.config.process import available_threads, cache_folder, prepare_process
from textmill.config.sources import command_options, model_options

__all__ = [
    "ModelOptions",
    "ServeOptions",
    "available_threads",
    "cache_folder",
    "command_options",
    "model_options",
    "prepare_process",
    "read_keys",
]
