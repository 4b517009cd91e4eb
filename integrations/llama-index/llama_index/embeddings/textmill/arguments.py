"""What the arguments of HuggingFaceEmbedding, and of SentenceTransformer below it, mean to textmill. Pure: nothing is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
_SHORT = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}
_GRAPHS = (".onnx", ".xml")
_MOST_QUEUED = 1 << 31
"""Tokens: the texts are in the process's memory already, so that refusing some of them would spare nothing."""

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
_WITHOUT_EFFECT = frozenset(
    {"attn_implementation", "ov_config", "low_cpu_mem_usage", "use_safetensors", "device_map", "export", "provider"}
)
_SECRETS = ("token", "use_auth_token")


@dataclass(slots=True)
class Meaning:
    """The keywords of `textmill.load`, those to go on with where a file or precision is not there, and what is not as it was asked."""

    options: dict[str, Any] = field(default_factory=dict)
    otherwise: dict[str, Any] | None = None
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a caller asks of a model, in the words of sentence-transformers."""

    backend: str = "torch"
    device: str | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    config_kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_length: int | None = None
    cache_folder: str | None = None
    revision: str | None = None
    local_files_only: bool = False
    default_prompt_name: str | None = None
    trust_remote_code: bool = False
    load_kwargs: Mapping[str, Any] = field(default_factory=dict)


def without_secrets(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """Keywords that may be written down, precisions among them as words, and the token for the hub that was among them."""
    kept = {name: _plain(value) if name in ("dtype", "torch_dtype") else value for name, value in (given or {}).items()}
    secrets = [kept.pop(name) for name in _SECRETS if name in kept]
    return kept, next((secret for secret in secrets if isinstance(secret, str) and secret), None)


def meaning(asked: Asked) -> Meaning:
    """What is asked, as keywords of `textmill.load`."""
    made = Meaning({"max_queue_tokens": _MOST_QUEUED})
    if asked.trust_remote_code:
        made.remarks.append("trust_remote_code has no effect: textmill runs no code of a repository")
    _place(asked, made)
    given = {
        "max_input_length": asked.max_length or _length(asked.tokenizer_kwargs),
        "cache_dir": asked.cache_folder,
        "revision": asked.revision or asked.model_kwargs.get("revision"),
        "offline": asked.local_files_only or None,
        "default_prompt_name": asked.default_prompt_name,
    }
    made.options |= {name: value for name, value in given.items() if value is not None}
    _precision(asked, made)
    _idle(asked, made)
    made.options.update(asked.load_kwargs)
    if made.otherwise is not None:
        other = {**made.options, **made.otherwise, **asked.load_kwargs}
        made.otherwise = {name: value for name, value in other.items() if value is not None}
    return made


def nearest_dtype(file_name: str) -> str:
    """The precision of ours that is nearest to that of a graph by its name: float32 where the name says nothing."""
    stem = PurePosixPath(file_name).stem.lower()
    return next((dtype for tag, dtype in _TAGS if tag in stem), "float32")


def _place(asked: Asked, made: Meaning) -> None:
    """Which device, and what computes there: PyTorch where CUDA or Metal is named, else OpenVINO."""
    mapped = asked.model_kwargs.get("device_map")
    device = mapped if isinstance(mapped, str) and mapped != "auto" else asked.device
    if device is None and "CUDA" in str(asked.model_kwargs.get("provider", "")):
        device = "cuda"
    if device is None:
        return
    kind, _, index = device.partition(":")
    if kind in ("cuda", "mps"):
        made.options |= {"backend": "torch", "device": device}
        return
    name = {"xpu": "gpu"}.get(kind, kind)
    made.options["device"] = f"{name}.{index}" if index and name != "cpu" else name


def _precision(asked: Asked, made: Meaning) -> None:
    """The precision, and the very file where one is named."""
    dtype = asked.model_kwargs.get("dtype", asked.model_kwargs.get("torch_dtype"))
    file = asked.model_kwargs.get("file_name")
    if dtype is not None:
        word = _plain(dtype)
        if word in DTYPES:
            made.options["dtype"] = word
            made.otherwise = {"dtype": "auto"} if word in ("float16", "bfloat16") else None
        else:
            made.remarks.append(f"dtype {word!r} is none of {', '.join(DTYPES)}; textmill chooses")
    if file is None:
        return
    if asked.model_kwargs.get("export"):
        made.remarks.append(f"file_name {file!r} has no effect beside export=True")
    elif PurePosixPath(file).suffix in _GRAPHS and made.options.get("backend") != "torch":
        made.options["file"] = file
        made.otherwise = {"file": None, "dtype": nearest_dtype(file)}
    else:
        made.options["dtype"] = nearest_dtype(file)
        made.remarks.append(
            f"file_name {file!r} is not run here; the model's own weights are, in {made.options['dtype']}"
        )


def _idle(asked: Asked, made: Meaning) -> None:
    """Remarks about what changes nothing."""
    known = {"dtype", "torch_dtype", "file_name", "revision", *_WITHOUT_EFFECT}
    idle = [f"model_kwargs[{name!r}]" for name in asked.model_kwargs if name not in known]
    idle += [f"tokenizer_kwargs[{name!r}]" for name in asked.tokenizer_kwargs if name != "model_max_length"]
    idle += [f"config_kwargs[{name!r}]" for name in asked.config_kwargs]
    if idle:
        made.remarks.append(f"textmill has nothing for {', '.join(idle)}")


def _plain(dtype: Any) -> Any:
    """A precision as a word: torch's own print as ``torch.float16``."""
    word = str(dtype).removeprefix("torch.")
    return _SHORT.get(word, word)


def _length(tokenizer_kwargs: Mapping[str, Any]) -> int | None:
    length = tokenizer_kwargs.get("model_max_length")
    return length if isinstance(length, int) and length > 0 else None
