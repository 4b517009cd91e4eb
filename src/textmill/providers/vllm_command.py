"""The command line of ``vllm serve`` out of a model file: its fields, its options that begin with ``--``, its ``engine_args``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from textmill.errors import ConfigInvalid
from textmill.folder.model import ModelFile
from textmill.providers.vllm_flags import MANY, SINGLE, TABLES, NotAllowed

_FLAG = re.compile(r"--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*")
_OURS = frozenset(
    [
        "host",
        "port",
        "uds",
        "fd",
        "api-key",
        "served-model-name",
        "model",
        "model-tag",
        "revision",
        "root-path",
        "headless",
        "api-server-count",
        "ssl-keyfile",
        "ssl-certfile",
        "ssl-ca-certs",
        "ssl-cert-reqs",
        "ssl-ciphers",
        "enable-ssl-refresh",
        "data-parallel-address",
        "data-parallel-rpc-port",
        "master-addr",
        "master-port",
        "grpc",
    ]
)
"""Flags that say where the server listens and what it is called, which is textmill's business."""
_LOAD_FORMATS = (
    *("auto", "safetensors", "hf", "dummy", "gguf", "mistral", "bitsandbytes", "sharded_state", "fastsafetensors"),
    *("runai_streamer", "instanttensor"),
)
_SPELLED: Mapping[str, str] = {
    "dtype": "dtype",
    "quantization": "quantization",
    "gpu_memory_utilization": "gpu-memory-utilization",
    "swap_space": "swap-space",
    "tensor_parallel_size": "tensor-parallel-size",
    "enforce_eager": "enforce-eager",
    "disable_log_stats": "disable-log-stats",
}
"""Fields of model files, and the flag of each."""


def serve_arguments(file: ModelFile, root: Path) -> list[str]:
    """What follows ``vllm`` on the command line, but for where it listens.

    Each flag and its value are one argument, so that no value can be a flag; flags of several values are followed by numbers and JSON
    only. What stands in ``engine_args`` comes last and counts, then ``options``, then fields. Paths are below the models folder ``root``.
    Raises ConfigInvalid for a flag that is not among those of `textmill.providers.vllm_flags`, or a value that is not for it.
    """
    arguments = ["serve", file.model, f"--served-model-name={file.name}"]
    if file.location.revision:
        arguments.append(f"--revision={file.location.revision}")
    fields, options, given = (
        _of_fields(file, root),
        _of_options(file.backend_options, root),
        _of_engine_args(file, root),
    )
    return [*arguments, *fields, *options, *given]


def _of_fields(file: ModelFile, root: Path) -> Iterator[str]:
    fields = file.fields
    if fields.dtype == "int8":
        msg = "vLLM has no dtype int8; say how the weights are quantised in quantization"
        raise ConfigInvalid(msg)
    for name, flag in _SPELLED.items():
        value = getattr(fields, name)
        if value is not None and value is not False and value != "":
            yield from _spelled(f"--{flag}", value, root)
    if fields.load_format:
        if fields.load_format not in _LOAD_FORMATS:
            msg = f"load_format can be {', '.join(_LOAD_FORMATS)}"
            raise ConfigInvalid(msg)
        yield f"--load-format={fields.load_format}"
    length = fields.context_size if fields.context_size is not None else fields.max_model_len
    if length is not None and length > 0:
        yield f"--max-model-len={length}"


def _of_options(options: Mapping[str, str], root: Path) -> Iterator[str]:
    if "tool_parser" in options:
        yield "--enable-auto-tool-choice"
        yield from _spelled("--tool-call-parser", options["tool_parser"], root)
    if "reasoning_parser" in options:
        yield from _spelled("--reasoning-parser", options["reasoning_parser"], root)
    for name, value in options.items():
        if name.startswith("-"):
            yield from _spelled(name, value or True, root)


def _of_engine_args(file: ModelFile, root: Path) -> Iterator[str]:
    for name, value in (file.fields.engine_args or {}).items():
        if value is not None:
            yield from _spelled(f"--{name}", value, root)


def _spelled(given: str, value: Any, root: Path) -> list[str]:
    """The arguments that give vLLM that flag with that value; of an option the value is text, or True where it has none."""
    word, keys = _taken_apart(given)
    flag = f"--{word}"
    try:
        if word in TABLES:
            made = TABLES[word](_nested(keys, _read(value)), root)
            for key in keys:
                made = made[key]
            return [f"{'.'.join([flag, *keys])}={orjson.dumps(made).decode()}"]
        if word in MANY:
            return [flag, *(_argument(each) for each in MANY[word](_read(value), root))]
        made = _single(word, value, root)
    except NotAllowed as wrong:
        msg = f"vLLM's {given[:60]} as the model file has it: {wrong}"
        raise ConfigInvalid(msg) from None
    if isinstance(made, bool):
        return [flag if made else f"--no-{word}"]
    return [f"{flag}={made}"]


def _single(word: str, value: Any, root: Path) -> Any:
    bare = word.removeprefix("no-")
    if bare != word and value is not True:
        msg = "a flag that begins with no- has no value"
        raise NotAllowed(msg)
    return SINGLE[bare](value, root)


def _taken_apart(given: str) -> tuple[str, list[str]]:
    """A flag without its dashes, and the keys of its table that follow it. Raises ConfigInvalid for one that is not for model files."""
    if not _FLAG.fullmatch(given):
        msg = f"{given[:60]!r} is no flag of vLLM's; write --NAME:VALUE"
        raise ConfigInvalid(msg)
    word, *keys = given.removeprefix("--").split(".")
    word = word.replace("_", "-")
    if word.removeprefix("no-") in _OURS:
        msg = f"{given} is textmill's to say: it chooses where vLLM listens and what the model is called there"
        raise ConfigInvalid(msg)
    if word in TABLES or (not keys and (word in MANY or word.removeprefix("no-") in SINGLE)):
        return word, keys
    near = difflib.get_close_matches(word, (*SINGLE, *MANY, *TABLES), n=1, cutoff=0.8)
    hint = f"; did you mean --{near[0]}?" if near and near[0] != word else ""
    msg = (
        f"a model file may not give vLLM {given}, as it is none of the flags of which textmill knows that they have no code run and no "
        f"files read elsewhere{hint or '; run vLLM yourself for it and take backend: remote'}"
    )
    raise ConfigInvalid(msg)


def _nested(keys: list[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _read(value: Any) -> Any:
    """The value of an option that may be JSON."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _argument(value: Any) -> str:
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
