"""The keywords of sentence-transformers' constructors as options of `textmill.load`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmill.config import ModelOptions, model_options
from textmill.config.option import options_of
from textmill.errors import ConfigInvalid

_OWN = frozenset(option.name for option in options_of(ModelOptions)) - {"backend"}
_RENAMED = {
    "use_auth_token": "token",
    "tokenizer_kwargs": "processor_kwargs",
    "tokenizer_args": "processor_kwargs",
    "model_args": "model_kwargs",
    "automodel_args": "model_kwargs",
    "config_args": "config_kwargs",
    "cache_dir": "cache_folder",
    "local_files_only": "offline",
    "max_length": "max_input_length",
}
"""Names of older releases, and those that `textmill.load` has another one for."""
_IDLE = frozenset({"trust_remote_code", "model_card_data", "config_kwargs", "keep_in_fp32_modules"})
"""Keywords without effect: no code of a repository runs, no model card is written, the model's files say what it is."""
_IDLE_OF_MODEL = frozenset(
    ("attn_implementation", "device_map", "export", "low_cpu_mem_usage", "ov_config", "provider", "use_safetensors")
)
_CUDA = re.compile(r"cuda(?::\d+)?")
_BACKENDS = ("torch", "onnx", "openvino")


def load_options(keywords: Mapping[str, Any], caller: str) -> dict[str, Any]:
    """Options of `textmill.load` by name, out of a constructor's keywords; ``caller`` is the class, for messages.

    A keyword that nobody knows is warned of. Raises ConfigInvalid for what cannot be done as it says: modules of torch, a backend
    that does not exist.
    """
    made: dict[str, Any] = {}
    for name, value in keywords.items():
        known = _RENAMED.get(name, name)
        if value is None or known in _IDLE:
            continue
        if known in _READERS:
            _READERS[known](value, made)
        elif known in _OWN:
            made[known] = value
        else:
            warn(f"{caller} does nothing with {name!r} here", level=5)
    _settle(made)
    return made


def device_options(device: object) -> dict[str, Any]:
    """The options that run a model on a device of torch's, such as ``cuda:0``; those of the CPU where textmill has no such device."""
    name = f"cuda:{device}" if isinstance(device, int) and not isinstance(device, bool) else str(device)
    if _CUDA.fullmatch(name):
        return {"device": name, "backend": "torch"}
    if name.partition(":")[0] != "cpu":
        warn(f"textmill runs models on CPUs and CUDA, not on {name!r}; the CPU is taken", level=6)
    return {"device": "cpu"}


def dtype_name(dtype: object) -> str:
    """The name of a dtype of torch's, or of a text."""
    return str(dtype).rpartition(".")[2]


def warn(message: str, level: int = 3) -> None:
    """Warn whoever called the verb that called this."""
    warnings.warn(message, UserWarning, stacklevel=level)


def _settle(made: dict[str, Any]) -> None:
    """Compute as exactly as the library does by default, unless somebody has chosen a precision."""
    if "dtype" not in made and model_options(made).dtype == "auto":
        made["dtype"] = "float32"


def _modules(value: object, made: dict[str, Any]) -> None:
    del value, made
    msg = (
        "modules are objects of PyTorch, which textmill does not run; save the model with sentence-transformers, and give the folder; "
        "for code of your own see textmill.custom"
    )
    raise ConfigInvalid(msg)


def _backend(value: object, made: dict[str, Any]) -> None:
    """The engines give the same vectors, and textmill's own is the fastest: only a file that is named makes another one run."""
    del made
    if value not in _BACKENDS:
        msg = f"backend is {value!r}; it can be {', '.join(_BACKENDS)}"
        raise ConfigInvalid(msg)


def _device(value: object, made: dict[str, Any]) -> None:
    made |= device_options(value)


def _token(value: object, made: dict[str, Any]) -> None:
    if isinstance(value, str):
        made["token"] = value


def _cache_folder(value: object, made: dict[str, Any]) -> None:
    made["cache_dir"] = str(value)


def _of_model(value: Mapping[str, Any], made: dict[str, Any]) -> None:
    """``model_kwargs``: the precision, and the file to run."""
    for name, each in value.items():
        if each is None or (name in _IDLE_OF_MODEL and name != "device_map"):
            continue
        if name in ("dtype", "torch_dtype"):
            made["dtype"] = dtype_name(each)
        elif name == "file_name":
            made["file"] = str(each)
        elif name == "device_map":
            if isinstance(each, str) and each != "auto":
                made |= device_options(each)
        else:
            warn(f"nothing is done with model_kwargs[{name!r}] here", level=6)


def _of_processor(value: Mapping[str, Any], made: dict[str, Any]) -> None:
    """``processor_kwargs``: how long inputs may be; the rest is as the model's tokenizer.json says."""
    for name, each in value.items():
        if name in ("model_max_length", "max_length") and each is not None:
            made["max_input_length"] = each
        elif name not in ("use_fast", "padding_side"):
            warn(
                f"nothing is done with processor_kwargs[{name!r}] here; tokenizer.json says how texts are read", level=6
            )


def file_in(folder: Path | None, file: str, backend: str) -> str:
    """The path of an artefact in its repository: as it is, or in the folder where sentence-transformers keeps those of the backend."""
    if "/" in file or (folder is not None and (folder / file).is_file()):
        return file
    return f"{'openvino' if backend == 'openvino' or file.endswith('.xml') else 'onnx'}/{file}"


_READERS = {
    "modules": _modules,
    "backend": _backend,
    "device": _device,
    "token": _token,
    "cache_folder": _cache_folder,
    "model_kwargs": _of_model,
    "processor_kwargs": _of_processor,
}
