"""The command line of ``vllm serve`` out of a model file: its fields, its options that begin with ``--``, its ``engine_args``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from textmill.errors import ConfigInvalid
from textmill.folder.model import ModelFile

_FLAG = re.compile(r"--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*", re.IGNORECASE)
_OURS = (
    *(
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
    ),
    *(
        "ssl-keyfile",
        "ssl-certfile",
        "ssl-ca-certs",
        "ssl-cert-reqs",
        "ssl-ciphers",
        "enable-ssl-refresh",
        "api-server-count",
    ),
    *("data-parallel-address", "data-parallel-rpc-port", "master-addr", "master-port", "grpc"),
)
"""Flags that say where the server listens and what it is called, which is textmill's business."""
_BARRED = (
    *("trust-remote-code", "middleware", "worker-cls", "worker-extension-cls", "scheduler-cls"),
    *(
        "tool-parser-plugin",
        "reasoning-parser-plugin",
        "logits-processors",
        "logits-processor-pattern",
        "io-processor-plugin",
    ),
    *("kv-transfer-config", "ec-transfer-config", "config", "allowed-local-media-path", "hf-token", "download-dir"),
    *("profiler-config", "load-format", "otlp-traces-endpoint", "enable-log-requests", "log-config-file"),
)
"""Flags by which a model file could have code run, files read or written, or requests told; ``load_format`` has a field of its own."""
_EXECUTORS = ("ray", "mp", "uni", "external_launcher")
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


def serve_arguments(file: ModelFile) -> list[str]:
    """What follows ``vllm`` on the command line, but for where it listens.

    Each flag and its value are one argument, so that no value can be a flag. What stands in ``engine_args`` comes last and counts, then
    ``options``, then fields. Raises ConfigInvalid for a flag that a model file may not have.
    """
    arguments = ["serve", file.model, f"--served-model-name={file.name}"]
    if file.location.revision:
        arguments.append(f"--revision={file.location.revision}")
    return [*arguments, *_of_fields(file), *_of_options(file.backend_options), *_of_engine_args(file)]


def _of_fields(file: ModelFile) -> Iterator[str]:
    fields = file.fields
    if fields.dtype == "int8":
        msg = "vLLM has no dtype int8; say how the weights are quantised in quantization"
        raise ConfigInvalid(msg)
    for name, flag in _SPELLED.items():
        value = getattr(fields, name)
        if value is not None and value is not False and value != "":
            yield _spelled(flag, value)
    if fields.load_format:
        if fields.load_format not in _LOAD_FORMATS:
            msg = f"load_format can be {', '.join(_LOAD_FORMATS)}"
            raise ConfigInvalid(msg)
        yield f"--load-format={fields.load_format}"
    length = fields.context_size if fields.context_size is not None else fields.max_model_len
    if length is not None and length > 0:
        yield f"--max-model-len={length}"


def _of_options(options: Mapping[str, str]) -> Iterator[str]:
    if "tool_parser" in options:
        yield from ("--enable-auto-tool-choice", f"--tool-call-parser={options['tool_parser']}")
    if "reasoning_parser" in options:
        yield f"--reasoning-parser={options['reasoning_parser']}"
    for name, value in options.items():
        if name.startswith("-"):
            _check(name, value)
            yield f"{name}={value}" if value else name


def _of_engine_args(file: ModelFile) -> Iterator[str]:
    for name, value in (file.fields.engine_args or {}).items():
        flag = str(name).replace("_", "-")
        _check(f"--{flag}", value)
        if value is not None:
            yield _spelled(flag, value)


def _spelled(flag: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if isinstance(value, dict | list | tuple):
        return f"--{flag}={orjson.dumps(value).decode()}"
    return f"--{flag}={value}"


def _check(flag: str, value: Any) -> None:
    """Raise ConfigInvalid for a flag that is none, or not for model files; vLLM takes flags that are cut short, too."""
    if not _FLAG.fullmatch(flag):
        msg = f"{flag[:60]!r} is no flag of vLLM's; write --NAME:VALUE"
        raise ConfigInvalid(msg)
    word = flag.removeprefix("--").lower().replace("_", "-").partition(".")[0]
    word = word.removeprefix("no-")
    if any(each.startswith(word) for each in _OURS):
        msg = f"{flag} is textmill's to say: it chooses where vLLM listens and what the model is called there"
        raise ConfigInvalid(msg)
    if any(each.startswith(word) for each in _BARRED):
        msg = f"a model file may not give vLLM {flag}: it could have code run or files read; run vLLM yourself and take backend: remote"
        raise ConfigInvalid(msg)
    if "distributed-executor-backend".startswith(word) and value not in _EXECUTORS:
        msg = f"{flag} can be {', '.join(_EXECUTORS)}"
        raise ConfigInvalid(msg)
