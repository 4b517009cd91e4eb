"""The command line of Text Embeddings Inference: how it spells our options, and what it starts with.

Its variables are its flags in upper case without a prefix; `textmill serve` and `textmill tei` read them, nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, cast

from textmill.config.layers import Layer, Stated
from textmill.config.option import WORDS
from textmill.config.spelling import Read, Said, Spelling, Table, as_it_is
from textmill.errors import ConfigInvalid

Version = Literal["1.6", "1.9"]


def _address(said: Said) -> object:
    try:
        ip_address(said.text)
    except ValueError:
        return None
    return said.text


def _log_format(said: Said) -> object:
    try:
        return "json" if WORDS[said.text.strip().lower()] else "text"
    except KeyError:
        msg = f"{said.where} is {said.text!r}; it can be true or false"
        raise ConfigInvalid(msg) from None


_LEVELS = {
    **dict.fromkeys(("trace", "5", "debug", "4"), "debug"),
    **dict.fromkeys(("info", "3"), "info"),
    **dict.fromkeys(("warn", "warning", "2"), "warning"),
    **dict.fromkeys(("error", "1", "off", "0"), "error"),
}


def log_level(said: Said) -> object:
    """The level that no target stands before, in a list such as ``info,otel::tracing=trace``."""
    levels = [_LEVELS[part] for part in map(str.strip, said.text.lower().split(",")) if part in _LEVELS]
    return levels[-1] if levels else None


def _root_task(said: Said) -> object:
    return "similarity" if said.text == "sentence-similarity" else None


def _folder(said: Said) -> object:
    return str(Path(said.text).expanduser())


def _stripped(said: Said) -> object:
    return said.text.strip()


def _spelling(name: str, option: str | None, **attributes: Any) -> Spelling:
    return Spelling(name=name, option=option, variables=(name.replace("-", "_").upper(),), **attributes)


def _same(name: str) -> Spelling:
    return _spelling(name, name.replace("-", "_"))


def _other(name: str, option: str, *, read: Read = as_it_is, ignored: str = "", instead: str = "") -> Spelling:
    told = f"The same as --{option.replace('_', '-')}." if option != "models" else "The same as MODEL."
    return _spelling(name, option, read=read, ignored=ignored, instead=instead, hidden=bool(instead), help=told)


def _nothing(name: str) -> Spelling:
    return _spelling(name, None, help="Taken and without effect.")


SPELLINGS = (
    _other("model-id", "models"),
    _same("revision"),
    _same("tokenization-workers"),
    _same("dtype"),
    _same("served-model-name"),
    _same("pooling"),
    _same("max-concurrent-requests"),
    _same("max-batch-tokens"),
    _same("max-batch-requests"),
    _same("max-client-batch-size"),
    _same("auto-truncate"),
    _same("default-prompt-name"),
    _same("default-prompt"),
    _same("dense-path"),
    _other("hf-token", "token", read=_stripped),
    _other("hf-api-token", "token", read=_stripped, instead="--hf-token or HF_TOKEN"),
    _other("hostname", "host", read=_address, ignored="is no IP address"),
    _spelling("AIP_HTTP_PORT", "port"),  # before PORT, as Vertex AI means it
    _same("port"),
    _nothing("uds-path"),
    _other("huggingface-hub-cache", "cache_dir", read=_folder),
    _other("payload-limit", "body_limit"),
    _spelling("api-key", "api_key", blank=False),
    _spelling("json-output", "log_format", read=_log_format, switch=True, help="The same as --log-format json."),
    _same("disable-spans"),
    _same("otlp-endpoint"),
    _same("otlp-service-name"),
    _same("prometheus-port"),
    _other("cors-allow-origin", "cors_origin"),
    _spelling("LOG_LEVEL", "log_level", read=log_level, ignored="names no level"),
    _spelling("TASK", "root_task", read=_root_task),
    _spelling("GRPC_MAX_PARALLEL_STREAM_REQUESTS", "grpc_max_parallel_stream_requests"),
    _spelling("AIP_PREDICT_ROUTE", "predict_route"),
    _spelling("AIP_HEALTH_ROUTE", "health_route"),
    _nothing("USE_FLASH_ATTENTION"),
    _nothing("TRUST_REMOTE_CODE"),
    _nothing("DISABLE_TENSOR_CACHE"),
    _nothing("PAD_SEQUENCE_TO_MULTIPLE_OF"),
    _nothing("SEQ_LEN_EXPONENT_BASE"),
    _nothing("MAX_WARMUP_SEQUENCE_LENGTH"),
    _nothing("MAX_WARMUP_BATCH_SIZE"),
)
"""Every flag and variable, in TEI's order. Of two for one option, the first one is taken from the environment."""

TABLE = Table("Text Embeddings Inference", SPELLINGS)

DEFAULTS: Mapping[str, object] = {
    "host": "0.0.0.0",  # noqa: S104 - as its users expect; `textmill serve` does not
    "port": 3000,
    "max_concurrent_requests": 512,
    "body_limit": 2_000_000,
    "cors_origin": ("*",),
    "dtype": "float32",
    "fit_batches": True,
    "log_requests": True,
    "otlp_service_name": "text-embeddings-inference.server",
}
"""What `textmill tei` starts with where that differs from `textmill serve`; `defaults` has the rest."""
BATCH_TOKENS = 16_384
BATCH_SIZE = 32
"""Inputs a request, as `/info` has it; a larger request is refused only where the option is given."""
_OLD_MODEL = "BAAI/bge-large-en-v1.5"


def defaults(version: Version, layer: Layer, *, serve: bool) -> Layer:
    """What stands where nothing else does, given what is stated: of a version, and of `textmill tei` unless it is ``serve``."""
    values: dict[str, object] = {"auto_truncate": False} if version == "1.6" else {}
    if not serve:
        device, tokens = layer.get("device"), layer.get("max_batch_tokens")
        on_cpu = device is None or str(device.value).lower().startswith("cpu")
        values |= DEFAULTS if on_cpu else {**DEFAULTS, "dtype": "float16"}
        # TEI bounds an input by the batch's budget.
        values["max_input_length"] = BATCH_TOKENS if tokens is None else tokens.value
        if version == "1.6":
            values["models"] = (_OLD_MODEL,)
        models = layer["models"].value if "models" in layer else values.get("models")
        if models:
            values["served_model_name"] = cast("tuple[str, ...]", models)[0]
        if "default_prompt_name" not in layer:
            values["default_prompt"] = ""  # TEI does not look at the one that a model's files name
    return {name: Stated(value, "a default") for name, value in values.items()}
