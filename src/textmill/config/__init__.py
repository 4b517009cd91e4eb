"""Options: read once at the edge from flags, environment and YAML; the only room that reads the environment."""

from textmill.config.addresses import without_users
from textmill.config.children import child_environment
from textmill.config.keyfile import read_keys
from textmill.config.network import download_proxy, hub_endpoint, network_fault, proxy_for, unproxied_hosts
from textmill.config.options import GALLERY_OPTIONS, ModelOptions, ServeOptions
from textmill.config.process import (
    available_threads,
    cache_folder,
    otlp_protocol,
    prepare_process,
    sentence_transformers_home,
    server_key,
    state_folder,
)
from textmill.config.provider_keys import provider_key
from textmill.config.serving import Serving, serve_options
from textmill.config.sources import command_options, model_options
from textmill.config.tei import DEFAULTS as TEI_DEFAULTS
from textmill.config.tiktoken import tiktoken_cache

__all__ = [
    "GALLERY_OPTIONS",
    "TEI_DEFAULTS",
    "ModelOptions",
    "ServeOptions",
    "Serving",
    "available_threads",
    "cache_folder",
    "child_environment",
    "command_options",
    "download_proxy",
    "hub_endpoint",
    "model_options",
    "network_fault",
    "otlp_protocol",
    "prepare_process",
    "provider_key",
    "proxy_for",
    "read_keys",
    "sentence_transformers_home",
    "serve_options",
    "server_key",
    "state_folder",
    "tiktoken_cache",
    "unproxied_hosts",
    "without_users",
]
