"""What the fields of a model file mean to `textmill.load`: its options by name, and what cannot be done as the file says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from textmill.config.layers import Stated, settle
from textmill.config.option import nearest, options_of
from textmill.config.options import ModelOptions
from textmill.contract import USUAL, EmbedDefaults
from textmill.errors import ConfigInvalid
from textmill.folder.backends import Backend
from textmill.folder.capabilities import Capability
from textmill.folder.fields import Fields
from textmill.folder.parameters import Parameters

OF_THE_PROCESS = ("token", "cache_dir", "offline", "cache_memory", "cache_path", "cache_size")
"""Options of `textmill.load` that a model file may not state: secrets and places of the whole server."""

_POOLINGS = {"mean": "mean", "cls": "cls", "last": "last-token"}
_DTYPES = {"half": "float16", "float": "float32"}
_EIGHT_BITS = ("bnb_8bit", "xpu_8bit", "int8")
_CUDA = re.compile(r"cuda(?:[.:](\d+))?", re.IGNORECASE)
_OPENVINO = re.compile(r"(?:cpu|gpu|npu)(?:\.\d+)?", re.IGNORECASE)
_NORM = re.compile(r"-1|\d{1,3}")

Note = tuple[str, str]
"""The key of a field, and a sentence on it."""


@dataclass(slots=True)
class Wishes:
    """What a file wants of `textmill.load`.

    ``options`` are values of `textmill.config.ModelOptions` by name, ``defaults`` what embedding means where a request does not say,
    ``errors`` and ``warnings`` sentences on fields.
    """

    options: dict[str, object] = field(default_factory=dict)
    defaults: EmbedDefaults = USUAL
    errors: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)


def wishes(fields: Fields, said: Mapping[str, str], backend: Backend | None, can: Collection[Capability]) -> Wishes:
    """The wishes of a file whose ``options`` entries have ``said`` that; ``can`` is what the model is for."""
    found = Wishes()
    _device(fields, backend, found)
    _precision(fields, found)
    _pooling(fields, said, found)
    _sizes(fields, found)
    _defaults(fields, said, found)
    task = _task(fields, backend, can)
    if task:
        found.options["task"] = task
    _own(fields, found)
    return found


def _task(fields: Fields, backend: Backend | None, can: Collection[Capability]) -> str:
    """The task that the file asks for in so many words; what the weights are for by themselves needs no asking."""
    kind = fields.type or (backend.type if backend is not None else "")
    if "rerank" in can and not {"classify", "multivector", "embeddings"} & set(can):
        return "rerank"
    asked = fields.embeddings or kind in ("SentenceTransformer", "OVModelForFeatureExtraction")
    if "embeddings" in can and (asked or (backend is not None and backend.task == "embed")):
        return "embed"
    return "classify_tokens" if kind.endswith("TokenClassification") else ""


def _device(fields: Fields, backend: Backend | None, found: Wishes) -> None:
    if backend is not None and backend.runtime:
        found.options["backend"] = backend.runtime
    if fields.type is not None and fields.type.startswith("OV"):
        found.options["backend"] = "openvino"
    device = (fields.main_gpu or "").strip()
    if not device:
        return
    if (cuda := _CUDA.fullmatch(device)) is not None:
        if found.options.get("backend", "torch") != "torch":
            found.warnings.append(("main_gpu", f"{found.options['backend']} runs on no CUDA device; the CPU is taken"))
            return
        found.options |= {"device": f"cuda:{cuda[1] or 0}", "backend": "torch"}
    elif _OPENVINO.fullmatch(device):
        found.options["device"] = device.lower()
    else:
        found.warnings.append(
            (
                "main_gpu",
                "textmill runs a model on one device that is named, such as cpu, gpu or cuda:0; the CPU is taken",
            )
        )


def _precision(fields: Fields, found: Wishes) -> None:
    on_cuda = str(found.options.get("device", "")).startswith("cuda")
    if fields.dtype:
        found.options["dtype"] = _DTYPES.get(fields.dtype, fields.dtype)
    elif fields.f16 and on_cuda:
        found.options["dtype"] = "bfloat16"
    if not fields.quantization:
        return
    if fields.quantization.lower() in _EIGHT_BITS and not on_cuda:
        found.options["dtype"] = "int8"
    else:
        found.warnings.append(
            ("quantization", "textmill quantises to 8 bits on the CPU only; the model is run unquantised")
        )


def _pooling(fields: Fields, said: Mapping[str, str], found: Wishes) -> None:
    own = fields.parameters.pooling if fields.parameters is not None else None
    own, other = own if own not in ("", "backend") else None, said.get("pooling")
    if own is not None and other is not None and own != other:
        found.errors.append(("parameters.pooling", "it differs from pooling in options; say one of them"))
        return
    key, value = ("parameters.pooling", own) if own is not None else ("options", other)
    if value in _POOLINGS:
        found.options["pooling"] = _POOLINGS[value]
    elif value == "decayed_mean":
        found.defaults = replace(found.defaults, pooling="decayed_mean")
    elif value == "none":
        found.warnings.append(
            (key, "an input gets one vector here: the model's own pooling is taken, or that of the request")
        )
    elif value not in (None, "rank"):
        found.errors.append(
            (key, f"pooling can be none, mean, cls, last or rank{nearest(str(value), (*_POOLINGS, 'none', 'rank'))}")
        )


def _sizes(fields: Fields, found: Wishes) -> None:
    context = fields.context_size if fields.context_size is not None else fields.max_model_len
    batch = fields.parameters.batch if fields.parameters is not None else None
    for name, value in (("threads", fields.threads), ("max_input_length", context), ("max_batch_tokens", batch)):
        if value is not None and value > 0:
            found.options[name] = value


def _defaults(fields: Fields, said: Mapping[str, str], found: Wishes) -> None:
    stated = fields.parameters or Parameters()
    if stated.pooling_half_life_tokens:
        found.defaults = replace(found.defaults, half_life=stated.pooling_half_life_tokens)
    if stated.encoding_format == "base64":
        found.defaults = replace(found.defaults, encoding="base64")
    elif stated.encoding_format not in (None, "", "float"):
        found.warnings.append(("parameters.encoding_format", "it can be float or base64; float is taken"))
    norm = said.get("embd_normalize")
    if norm is not None and _NORM.fullmatch(norm):
        found.defaults = replace(found.defaults, norm=int(norm))
    elif norm is not None:
        found.warnings.append(
            (
                "options",
                "embd_normalize can be 2 (length one), -1 (as they are), 0 (largest value 32,760) or another norm's p; 2 is taken",
            )
        )


def _own(fields: Fields, found: Wishes) -> None:
    """The options that the file states by textmill's own names."""
    known = {option.name: option for option in options_of(ModelOptions) if option.name not in OF_THE_PROCESS}
    layer: dict[str, Stated] = {}
    for name, value in (fields.textmill or {}).items():
        key = f"textmill.{name}"
        if name not in known:
            found.errors.append(
                (key, f"textmill.load has no such option that a model file may state{nearest(name, known)}")
            )
        elif value is not None:
            try:
                layer[name] = Stated(known[name].convert(value, name), key)
            except ConfigInvalid as error:
                found.errors.append((key, str(error)))
    try:
        settle(ModelOptions, [layer])
    except ConfigInvalid as error:
        found.errors.append(("textmill", str(error)))
    found.options |= {name: stated.value for name, stated in layer.items()}
