"""A model file becomes what llama.cpp is told: pure, from the file's fields, its options, and what the server says beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from textmill.errors import ConfigInvalid
from textmill.folder.fields import Fields
from textmill.folder.model import ModelFile
from textmill.folder.parameters import Parameters
from textmill.providers.llamacpp.memory import cache_bytes
from textmill.providers.llamacpp.settings import Launch, Settings
from textmill.providers.llamacpp.values import Value, experts_of, switch, whole, workers
from textmill.providers.llamacpp.words import (
    ARGUMENTS,
    ELSEWHERE,
    FIELDS,
    FLAGS,
    OPTIONS,
    PARAMETERS,
    POOLING,
    POOLING_WORDS,
    WITHOUT,
    Sets,
)

MOST_CONTEXT, UNKNOWN_CONTEXT = 8192, 4096
"""The context where a model file does not say: what the model was trained for up to that, or where its file does not tell."""
PARALLEL, PARALLEL_BYTES = 4, 1 << 30
"""Requests that are computed together where nobody says: so many, or fewer where the caches of several would take more bytes."""
BATCH, UBATCH = 2048, 512
"""Tokens of a logical and a physical batch of models that write."""
CACHE_MB = 1024
"""MiB of prompts that are kept beside the context."""
HTTP_THREADS = 320
"""Requests that llama.cpp's server holds at once, each in a thread: more than its slots, so that it always answers for itself."""
_MEAN = "LLAMA_POOLING_TYPE_MEAN"
_MODES = {
    (None, False): "AUTO",
    (True, False): "MMAP",
    (False, False): "NONE",
    (None, True): "MMAP_MLOCK",
    (True, True): "MMAP_MLOCK",
    (False, True): "MLOCK",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What the server says where a model file does not; 0 and an empty text say nothing."""

    threads: int
    parallel: int = 0
    workers: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What llama.cpp is told of a model, and sentences on what of its file changes nothing."""

    launch: Launch
    notes: tuple[str, ...] = ()


def wanted(file: ModelFile, root: Path, given: Given) -> Wanted:
    """What llama.cpp is told of a model of the models folder ``root``; not the socket, which is its process's own.

    Raises ConfigInvalid for a value that is wrong, naming it.
    """
    values = _usual(file, given) | dict(_fields(file.fields, root)) | _parameters(file)
    notes = list(_options(file.backend_options, values))
    _pooled(file, values)
    if "-" in {name[:1] for name in file.backend_options}:
        notes += _arguments(file.backend_options, values)
    _shared(file, values)
    settings = Settings(model=str(file.location.path), sockets=(), **values)
    named = file.backend_options.get("grpc_servers") or given.workers
    rpc = workers("grpc_servers", named) if named else ""
    return Wanted(
        Launch(settings=_fitting(settings), lora=_lora(file.fields, root), rpc=rpc), (*notes, *_idle(file.fields))
    )


def _usual(file: ModelFile, given: Given) -> dict[str, Any]:
    """What is so where nobody says."""
    threads = file.fields.threads or given.threads
    return {
        "alias": (file.name,),
        "context": _context(file),
        **({"parallel": given.parallel} if given.parallel else {}),
        "threads": threads,
        "threads_batch": threads,
        "batch": BATCH,
        "ubatch": UBATCH,
        "cache_ram": CACHE_MB,
        "verbosity": 1,
        "ui": False,
        "http_threads": HTTP_THREADS,
    }


def _context(file: ModelFile) -> int:
    """The context in tokens; 0 is what the model was trained for."""
    trained = file.facts.gguf.context if file.facts is not None and file.facts.gguf is not None else 0
    stated = file.fields.context_size if file.fields.context_size is not None else file.fields.max_model_len
    if stated is None:
        return min(trained, MOST_CONTEXT) if trained else UNKNOWN_CONTEXT
    if trained and _reads_only(file):  # llama.cpp looks up positions behind the last without a word
        return min(stated, trained) if stated > 0 else trained
    return max(0, stated)


def _reads_only(file: ModelFile) -> bool:
    """Whether the model makes vectors or scores."""
    return bool({"rerank", "embeddings"} & set(file.capabilities))


def _fields(fields: Fields, root: Path) -> Iterator[tuple[str, Value]]:
    """Parameters by the fields of the top level that say something."""
    for name, sets in FIELDS.items():
        value = getattr(fields, name)
        if value is not None and value != "":
            yield sets.field, sets.read(name, str(value))
    yield "load_mode", f"LLAMA_LOAD_MODE_{_MODES[fields.mmap, bool(fields.mmlock)]}"
    if fields.draft_model:
        yield "draft_model", str(root / fields.draft_model)
        yield "guesses", ("COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE",)


def _parameters(file: ModelFile) -> dict[str, Any]:
    """Parameters by what stands below `parameters`."""
    stated, found = file.fields.parameters or Parameters(), dict[str, Any]()
    if stated.batch:
        found |= {"batch": stated.batch, "ubatch": min(stated.batch, UBATCH)}
    for name, sets in PARAMETERS.items():
        if (value := getattr(stated, name)) is not None:
            found[sets.field] = sets.read(name, str(value))
    return found


def _options(said: Mapping[str, str], values: dict[str, Any]) -> Iterator[str]:
    """Have the entries of `options` among the values; sentences on those that change nothing."""
    for name, text in said.items():
        if (sets := OPTIONS.get(name)) is not None:
            values[sets.field] = sets.read(name, text)
        elif name in WITHOUT:
            yield f"the option {name} changes nothing: {WITHOUT[name]}"
        elif name not in ELSEWHERE and not name.startswith("-"):
            yield f"the option {name} changes nothing for a GGUF file"
    _placed(said, values)


def _placed(said: Mapping[str, str], values: dict[str, Any]) -> None:
    """Have among the values what keeps experts off the GPU, and how the file is read."""
    rules = [values.get("override_tensor", "")]
    if "cpu_moe" in said and switch("cpu_moe", said["cpu_moe"]):
        rules.append(experts_of(None))
    if "n_cpu_moe" in said:
        rules.append(experts_of(int(str(whole(0, 4096)("n_cpu_moe", said["n_cpu_moe"])))))
    if any(rules):
        values["override_tensor"] = ",".join(filter(None, rules))
    if "direct_io" in said and switch("direct_io", said["direct_io"]):
        values["load_mode"] = "LLAMA_LOAD_MODE_DIRECT_IO"


def _arguments(said: Mapping[str, str], values: dict[str, Any]) -> Iterator[str]:
    """Have the arguments of llama-server among the values; sentences on those that are not known."""
    for entry, text in said.items():
        if not entry.startswith("-"):
            continue
        name, _, behind = entry.replace("=", " ", 1).partition(" ")
        flag, value = name.lstrip("-"), text or behind.strip()
        sets: Sets | None = ARGUMENTS.get(flag)
        if sets is None:
            yield f"the argument {name} changes nothing: textmill does not know it"
        else:
            values[sets.field] = sets.read(name, value or ("true" if flag in FLAGS else ""))


def _pooled(file: ModelFile, values: dict[str, Any]) -> None:
    """Have among the values how a model of vectors or scores pools: as its file says, else as its weights do, else by mean."""
    if not _reads_only(file):
        return
    values["embedding"] = True
    own = file.facts.gguf.pooling if file.facts is not None and file.facts.gguf is not None else ""
    stated = file.fields.parameters.pooling if file.fields.parameters is not None else None
    said = file.backend_options.get("pooling") or stated or ""
    word = "none" if said == "decayed_mean" else "" if said == "backend" else said
    if "rerank" in file.capabilities:
        values["pooling"] = POOLING_WORDS["rank"]
    elif word:
        values["pooling"] = POOLING("pooling", word)
    elif own not in ("mean", "cls", "last"):
        values["pooling"] = _MEAN
    whole_batch = not (file.fields.parameters and file.fields.parameters.batch)
    if whole_batch and "n_ubatch" not in file.backend_options:
        values["batch"] = values["ubatch"] = values["context"] or MOST_CONTEXT  # of one input


def _shared(file: ModelFile, values: dict[str, Any]) -> None:
    """Have among the values how many requests run together, and room for the whole context of each unless they share one.

    Where they share it, llama.cpp fails all of them as soon as they need more together.
    """
    gguf = file.facts.gguf if file.facts is not None else None
    context = values["context"] or (gguf.context if gguf is not None else 0)
    if "parallel" not in values:
        each = cache_bytes(gguf.cached if gguf is not None else 0, context, values)
        values["parallel"] = PARALLEL if not each else max(1, min(PARALLEL, PARALLEL_BYTES // each))
    if not values.setdefault("kv_unified", not context):
        values["context"] = context * values["parallel"]


def _fitting(settings: Settings) -> Settings:
    """The same, where one value makes another impossible: llama.cpp reads an input that it embeds in one physical batch."""
    if settings.embedding:
        return msgspec.structs.replace(settings, batch=settings.ubatch)
    if settings.ubatch > settings.batch:
        return msgspec.structs.replace(settings, ubatch=settings.batch)
    return settings


def _lora(fields: Fields, root: Path) -> tuple[tuple[str, float], ...]:
    """Adapters with their scales; raises ConfigInvalid where there are more scales than adapters."""
    several, scales = fields.lora_adapters or (), fields.lora_scales or ()
    if len(scales) > len(several):
        msg = f"lora_scales has {len(scales)} values, and lora_adapters {len(several)}"
        raise ConfigInvalid(msg)
    found = [(str(root / path), scale) for path, scale in zip(several, (*scales, *(1.0,) * len(several)), strict=False)]
    if fields.lora_adapter:
        found.insert(0, (str(root / fields.lora_adapter), fields.lora_scale or 1.0))
    return tuple(found)


def _idle(fields: Fields) -> Iterator[str]:
    if fields.overrides:
        yield "overrides change nothing: the binding of llama.cpp that textmill uses has no parameter for them"
    if fields.lora_base:
        yield "lora_base changes nothing: llama.cpp applies adapters to the model itself"
