"""The keywords of sentence-transformers, of its constructors and of its encode, as options of `textmill.load` and of `Model.embed`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, TypeVar

from textmill.config import ModelOptions, model_options
from textmill.config.option import options_of
from textmill.contract import ModelInfo
from textmill.errors import ConfigInvalid

Loaded = TypeVar("Loaded")

_OWN = frozenset(option.name for option in options_of(ModelOptions)) - {"backend"}
_RENAMED = {
    "use_auth_token": "token",
    "tokenizer_kwargs": "processor_kwargs",
    "tokenizer_args": "processor_kwargs",
    "model_args": "model_kwargs",
    "automodel_args": "model_kwargs",
    "config_args": "config_kwargs",
    "cache_folder": "cache_dir",
    "torch_dtype": "dtype",
    "file_name": "file",
    "max_length": "max_seq_length",
}
"""Names of older releases, and those that `textmill.load` has another one for."""
_IDLE = frozenset({"trust_remote_code", "model_card_data", "keep_in_fp32_modules", "similarity_fn_name"})
"""Keywords without effect on loading: no code of a repository runs, no model card is written."""
_IDLE_OF_MODEL = frozenset(
    ("attn_implementation", "low_cpu_mem_usage", "ov_config", "trust_remote_code", "use_safetensors")
)
_IDLE_OF_PROCESSOR = frozenset(("local_files_only", "padding_side", "trust_remote_code", "use_fast"))
_ON_TORCH = re.compile(r"(cuda|mps)(:\d+)?")
_ON_OPENVINO = {"cpu": "cpu", "npu": "npu", "xpu": "gpu"}
"""Devices of torch's by OpenVINO's names for them."""
_BACKENDS = ("torch", "onnx", "openvino")
_GONE = "ipex"
"""A backend of older releases, for which LangChain takes torch."""
_SHORT = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}
_GRAPHS = (".onnx", ".xml")
# Tags in the names of graphs, and the precision of ours that is nearest to what they mean. O4 is optimum's, in float16.
_TAGS = (
    ("int8", "int8"),
    ("quantized", "int8"),
    ("q4", "int8"),
    ("int4", "int8"),
    ("bnb4", "int8"),
    ("bf16", "bfloat16"),
    ("fp16", "float16"),
    ("float16", "float16"),
    ("o4", "float16"),
)


class LoadOptions(NamedTuple):
    """Options of `textmill.load` by name, and for a person what is not as it was asked."""

    options: dict[str, Any]
    remarks: tuple[str, ...]


@dataclass(slots=True)
class _Said:
    """What keywords have said so far."""

    options: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    device: object = None
    mapped: str | None = None
    provider: str = ""
    file: str | None = None
    export: bool = False
    length: int | None = None


def load_options(
    keywords: Mapping[str, Any], caller: str, *, dtype: Literal["auto", "float32"] = "float32"
) -> LoadOptions:
    """What the keywords of a constructor of sentence-transformers mean to `textmill.load`. Pure: nothing is loaded, nothing is warned of.

    Args:
        keywords: ``device``, ``backend``, ``revision``, ``token``, ``local_files_only``, ``cache_folder``, ``max_length``,
            ``model_kwargs`` (``dtype``, ``torch_dtype``, ``file_name``, ``device_map``, ``provider`` …), ``processor_kwargs``
            (``model_max_length``), their older names, and the fields of `textmill.config.ModelOptions`. None is the same as absent.
        caller: the class, for remarks about keywords that nobody knows.
        dtype: the precision where neither a keyword nor the environment chooses one; float32 is the library's own.

    Raises:
        ConfigInvalid: what cannot be done as it says: modules of torch, a backend that does not exist.

    """
    said = _Said()
    for name, value in keywords.items():
        known = _RENAMED.get(name, name)
        if value is None or known in _IDLE:
            continue
        if known in _READERS:
            _READERS[known](value, said)
        elif known in _OWN:
            said.options[known] = value
        else:
            said.remarks.append(f"{caller} does nothing with {name!r} here")
    _place(said)
    _graph(said)
    if said.length is not None:
        said.options.setdefault("max_seq_length", said.length)
    if "dtype" not in said.options and model_options(said.options).dtype == "auto":
        said.options["dtype"] = dtype
    return LoadOptions(said.options, tuple(said.remarks))


def embed_options(info: ModelInfo, *, normalize: bool, truncate_dim: int | None) -> dict[str, Any]:
    """The keywords of `textmill.Model.embed` that scale and cut vectors as ``encode`` of sentence-transformers does.

    A model whose own files end in normalising does so whatever ``normalize`` says, and before the cut, which then makes vectors
    shorter than one. So what is embedded is to be cut anyway: ``vectors[:, :truncate_dim]``.
    """
    early = normalize or not info.normalized
    kept = None if truncate_dim is None or truncate_dim >= info.dimensions else truncate_dim
    return {"normalize": normalize or info.normalized, "dimensions": kept if early else None}


def device_options(device: object) -> LoadOptions:
    """The options that run a model on a device of torch's, such as ``cuda:0``; those of the CPU where textmill has no such device."""
    name = f"cuda:{device}" if isinstance(device, int) and not isinstance(device, bool) else str(device)
    if _ON_TORCH.fullmatch(name):
        return LoadOptions({"device": name, "backend": "torch"}, ())
    kind, _, index = name.partition(":")
    if kind in _ON_OPENVINO:
        own = _ON_OPENVINO[kind]
        return LoadOptions({"device": f"{own}.{index}" if index and own != "cpu" else own}, ())
    remark = f"textmill runs models on cpu, cuda, mps, npu and xpu, not on {name!r}; the CPU is taken"
    return LoadOptions({"device": "cpu"}, (remark,))


def dtype_name(dtype: object) -> str:
    """The name of a dtype of torch's or of numpy's, or of a text."""
    word = str(dtype).rpartition(".")[2]
    return _SHORT.get(word, word)


def nearest_dtype(file_name: str) -> str:
    """The precision of ours that is nearest to that of a graph by its name: float32 where the name says nothing."""
    stem = PurePosixPath(file_name).stem.lower()
    return next((dtype for tag, dtype in _TAGS if tag in stem), "float32")


def load_nearest(load: Callable[[Mapping[str, Any]], Loaded], options: Mapping[str, Any], level: int = 4) -> Loaded:
    """What ``load`` makes of options of `textmill.load`; in float32, with a warning, where float16 is asked for and not to be had here.

    Raises what ``load`` raises.
    """
    try:
        return load(options)
    except ConfigInvalid as error:
        if options.get("dtype") != "float16":
            raise
        loaded = load({**options, "dtype": "float32"})
        warn(f"{error}; float32 is taken", level)
        return loaded


def warn(message: str, level: int = 3) -> None:
    """Warn whoever called the verb that called this."""
    warnings.warn(message, UserWarning, stacklevel=level)


def _place(said: _Said) -> None:
    """Where the model runs: ``device_map`` comes before ``device``, and an execution provider of ONNX behind both."""
    device = said.device if said.mapped is None else said.mapped
    if device is None and "CUDA" in said.provider:
        device = "cuda"
    if device is not None:
        options, remarks = device_options(device)
        said.options |= options
        said.remarks += remarks


def _graph(said: _Said) -> None:
    """The very file where one is named, which `textmill.load` finds with or without its folder, as sentence-transformers does."""
    if said.file is None:
        return
    if said.export:
        said.remarks.append(f"file_name {said.file!r} has no effect beside export=True")
    elif PurePosixPath(said.file).suffix in _GRAPHS and said.options.get("backend") != "torch":
        said.options["file"] = said.file
    else:
        near = said.options.setdefault("dtype", nearest_dtype(said.file))
        said.remarks.append(f"file_name {said.file!r} is not run here; the model's own weights are, in {near}")


def _modules(value: object, said: _Said) -> None:
    del value, said
    msg = (
        "modules are objects of PyTorch, which textmill does not run; save the model with sentence-transformers, and give the folder; "
        "for code of your own see textmill.custom"
    )
    raise ConfigInvalid(msg)


def _backend(value: object, said: _Said) -> None:
    """The engines give the same vectors, and textmill's own is the fastest: only a file that is named makes another one run."""
    if value == _GONE:
        said.remarks.append(f"backend {value!r} is no longer there; torch is taken")
    elif value not in _BACKENDS:
        msg = f"backend is {value!r}; it can be {', '.join(_BACKENDS)}"
        raise ConfigInvalid(msg)


def _device(value: object, said: _Said) -> None:
    said.device = value


def _token(value: object, said: _Said) -> None:
    if isinstance(value, str):
        said.options["token"] = value


def _local_files_only(value: object, said: _Said) -> None:
    """False is the library's default, and no wish to go against HF_HUB_OFFLINE."""
    if value:
        said.options["offline"] = True


def _cache_dir(value: object, said: _Said) -> None:
    said.options["cache_dir"] = str(value)


def _dtype(value: object, said: _Said) -> None:
    said.options["dtype"] = dtype_name(value)


def _file(value: object, said: _Said) -> None:
    said.file = str(value)


def _device_map(value: object, said: _Said) -> None:
    said.mapped = value if isinstance(value, str) and value != "auto" else None


def _provider(value: object, said: _Said) -> None:
    said.provider = str(value)


def _export(value: object, said: _Said) -> None:
    said.export = bool(value)


def _revision(value: object, said: _Said) -> None:
    said.options.setdefault("revision", value)


def _of_model(value: Mapping[str, Any], said: _Said) -> None:
    """``model_kwargs``: the precision, the file to run, and where."""
    for name, each in value.items():
        if each is None or name in _IDLE_OF_MODEL:
            continue
        if name in _READERS_OF_MODEL:
            _READERS_OF_MODEL[name](each, said)
        else:
            said.remarks.append(f"nothing is done with model_kwargs[{name!r}] here")


def _of_processor(value: Mapping[str, Any], said: _Said) -> None:
    """``processor_kwargs``: how long inputs may be; the rest is as the model's tokenizer.json says."""
    for name, each in value.items():
        if each is None or name in _IDLE_OF_PROCESSOR:
            continue
        if name in ("model_max_length", "max_length"):
            said.length = each if isinstance(each, int) and each > 0 else None
        else:
            said.remarks.append(
                f"nothing is done with processor_kwargs[{name!r}] here; tokenizer.json says how texts are read"
            )


def _of_config(value: Mapping[str, Any], said: _Said) -> None:
    """``config_kwargs``: a model is what its files say."""
    said.remarks += [f"nothing is done with config_kwargs[{name!r}] here" for name in value]


_READERS = {
    "modules": _modules,
    "backend": _backend,
    "device": _device,
    "token": _token,
    "local_files_only": _local_files_only,
    "cache_dir": _cache_dir,
    "dtype": _dtype,
    "file": _file,
    "model_kwargs": _of_model,
    "processor_kwargs": _of_processor,
    "config_kwargs": _of_config,
}
_READERS_OF_MODEL = {
    "dtype": _dtype,
    "torch_dtype": _dtype,
    "file_name": _file,
    "device_map": _device_map,
    "provider": _provider,
    "export": _export,
    "revision": _revision,
    "local_files_only": _local_files_only,
    "cache_dir": _cache_dir,
    "token": _token,
}
