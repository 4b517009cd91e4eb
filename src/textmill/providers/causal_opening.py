"""From a model file to a model of transformers that writes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import ModelInfo, Sampling
from textmill.engine.writing import PART, ROWS, WritingLoop
from textmill.folder.fields import Fields
from textmill.folder.parameters import Parameters
from textmill.providers.causal import CausalModel
from textmill.providers.extra import need_transformers
from textmill.runtimes.writing import WriterFacts
from textmill.tasks.texts import TextProfile
from textmill.tasks.tokenize import Reader

_DTYPES = {"half": "float16", "float": "float32", "": "auto", "int8": "auto"}
_SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "ignore_eos", "repeat_penalty", "repeat_last_n"),
    *("frequency_penalty", "presence_penalty"),
)
_MIROSTAT = ("mirostat", "mirostat_tau", "mirostat_eta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model that writes is, what it is called, and what it runs on. ``rows`` and ``part`` None are the loop's own."""

    name: str
    source: str
    folder: Path
    revision: str | None = None
    device: str = "cpu"
    threads: int | None = None
    context: int | None = None
    rows: int | None = None
    part: int | None = None


def open_causal(place: Place, fields: Fields) -> CausalModel:
    """The model, loaded, as its file's fields have it; blocks.

    Raises ExtraMissing, ModelBroken, ConfigInvalid.
    """
    need_transformers()
    from textmill.runtimes.causal_files import WriterTarget, open_writer  # noqa: PLC0415 - takes seconds

    target = WriterTarget(
        device=place.device,
        dtype=dtype_of(fields),
        threads=place.threads,
        context=place.context,
        quantization=(fields.quantization or "").lower(),
    )
    runtime, words = open_writer(place.folder, target)
    facts = runtime.facts
    tokenizer = Tokenizer(place.folder, vocabulary=facts.vocabulary, lowercase=False, max_tokens=facts.context)
    reader = Reader(tokenizer, TextProfile(prompts={}, default_prompt="", max_tokens=facts.context))
    loop = WritingLoop(runtime, place.name, part=place.part or PART, most=place.rows or ROWS)
    return CausalModel(_info(place, facts, words.template), runtime, words, reader, loop, sampling_of(fields))


def dtype_of(fields: Fields) -> str:
    """The precision that a file asks for; auto where it does not say."""
    if fields.dtype:
        return _DTYPES.get(fields.dtype, fields.dtype)
    return "bfloat16" if fields.f16 else "auto"


def sampling_of(fields: Fields) -> Sampling:
    """What a file says of sampling."""
    stated = fields.parameters or Parameters()
    values: dict[str, object] = {name: getattr(stated, name) for name in _SAMPLING}
    values |= {name: getattr(fields, name) for name in _MIROSTAT}
    bias: Mapping[str, float] = stated.logit_bias or {}
    return Sampling(**values, logit_bias={int(id_): value for id_, value in bias.items() if id_.isdecimal()})  # type: ignore[arg-type]


def _info(place: Place, facts: WriterFacts, template: str) -> ModelInfo:
    return ModelInfo(
        name=place.name,
        aliases=() if place.source == place.name else (place.source,),
        source=place.source,
        revision=place.revision,
        architecture=facts.architecture,
        tasks=("chat", "complete"),
        labels=(),
        pooling="",
        dimensions=0,
        max_tokens=facts.context,
        vocabulary=facts.vocabulary,
        prompts=(),
        default_prompt=None,
        runtime="transformers",
        device=facts.device,
        dtype=facts.dtype,
        int8_cosine=None,
        threads=facts.threads,
        batch_tokens=place.part or PART,
        batch_rows=place.rows or ROWS,
        tokenization_workers=0,
        fingerprint=_fingerprint(place.folder, facts.dtype),
        created=int(time.time()),
        template=template,
    )


def _fingerprint(folder: Path, dtype: str) -> str:
    """16 hex digits over the model's JSON files, the sizes of its weights, and the precision."""
    facts = hashlib.sha256(dtype.encode())
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja") and path.is_file():
            facts.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        elif path.suffix == ".safetensors":
            facts.update(f"{path.name} {path.stat().st_size}\n".encode())
    return facts.hexdigest()[:16]
