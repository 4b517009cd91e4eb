"""The keywords of sentence-transformers' constructors as options of `textmill.load`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

OPTIONS = frozenset(
    (
        *("revision", "token", "offline", "cache_dir", "task", "pooling", "default_prompt_name", "default_prompt"),
        *("dense_path", "max_input_length", "file", "device", "dtype", "threads", "tokenization_workers"),
        *("max_batch_tokens", "fit_batches", "max_batch_requests", "max_queue_tokens"),
    )
)
"""Options of `textmill.load` that are passed on as they are; ``backend`` is read as sentence-transformers means it."""
_IDLE = frozenset(("trust_remote_code", "backend", "config_kwargs", "model_card_data", "similarity_fn_name", "modules"))
"""Without effect: no code of a repository runs, and the engine is textmill's own unless a file of another one is named."""
_IDLE_OF_MODEL = frozenset(
    ("attn_implementation", "export", "low_cpu_mem_usage", "ov_config", "provider", "use_safetensors")
)
_Made = dict[str, Any]


def load_options(keywords: Mapping[str, Any], cache_folder: str | None, caller: str) -> dict[str, Any]:
    """Options of `textmill.load` by name out of ``model_kwargs``; ``caller`` is the class, for messages.

    A keyword that nobody knows is warned of. The precision is float32, as theirs is, unless one is chosen.
    """
    made: _Made = {"dtype": "float32"}
    if cache_folder is not None:
        made["cache_dir"] = cache_folder
    for name, value in keywords.items():
        if value is None or name in _IDLE:
            continue
        if name in _READERS:
            _READERS[name](value, made)
        elif name in OPTIONS:
            made[name] = value
        else:
            _warn(f"{caller} does nothing with model_kwargs[{name!r}]")
    return made


def _device(value: object, made: _Made) -> None:
    """The CPU, or CUDA by PyTorch."""
    name = str(value)
    if name.partition(":")[0] == "cuda":
        made |= {"device": name, "backend": "torch"}
    else:
        if name.partition(":")[0] != "cpu":
            _warn(f"textmill runs models on CPUs and CUDA, not on {name!r}; the CPU is taken")
        made["device"] = "cpu"


def _dtype(value: object, made: _Made) -> None:
    """A name, or one of PyTorch's dtypes."""
    made["dtype"] = str(value).rpartition(".")[2]


def _file(value: object, made: _Made) -> None:
    """A file of another engine, in the folder where sentence-transformers keeps it unless the name says where."""
    file = str(value)
    backend = "openvino" if file.endswith(".xml") else "onnx"
    made |= {"file": file if "/" in file else f"{backend}/{file}", "backend": backend}


def _of_model(value: Mapping[str, Any], made: _Made) -> None:
    readers = {"dtype": _dtype, "torch_dtype": _dtype, "file_name": _file, "device_map": _device}
    for name, each in value.items():
        if each is None or (name, each) == ("device_map", "auto"):
            continue
        if name in readers:
            readers[name](each, made)
        elif name not in _IDLE_OF_MODEL:
            _warn(f"nothing is done with {name!r} of the model_kwargs inside model_kwargs")


def _of_processor(value: Mapping[str, Any], made: _Made) -> None:
    for name, each in value.items():
        if name in ("model_max_length", "max_length"):
            made["max_input_length"] = each
        elif name not in ("use_fast", "padding_side"):
            _warn(f"nothing is done with {name!r} of the tokenizer; the model's tokenizer.json says how texts are read")


def _under(option: str) -> Callable[[Any, _Made], None]:
    def renamed(value: object, made: _Made) -> None:
        made[option] = value

    return renamed


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)


_READERS: Mapping[str, Callable[[Any, _Made], None]] = MappingProxyType(
    {
        "device": _device,
        "dtype": _dtype,
        "torch_dtype": _dtype,
        "file": _file,
        "file_name": _file,
        "model_kwargs": _of_model,
        "processor_kwargs": _of_processor,
        "tokenizer_kwargs": _of_processor,
        "cache_folder": _under("cache_dir"),
        "local_files_only": _under("offline"),
        "use_auth_token": _under("token"),
        "max_length": _under("max_input_length"),
    }
)
