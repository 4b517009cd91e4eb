"""From a folder in OpenVINO's form to a model that OpenVINO GenAI writes with."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import ModelInfo, Sampling
from textmill.errors import ConfigInvalid, ModelBroken
from textmill.folder.fields import Fields
from textmill.providers.genai.extra import need_genai
from textmill.providers.genai.model import Facts, GenaiModel
from textmill.providers.genai.process import GenaiProcess
from textmill.providers.speech import MARKS
from textmill.runtimes.genai_messages import Open, Opened
from textmill.runtimes.writing import Words
from textmill.tasks.texts import TextProfile
from textmill.tasks.tokenize import Reader

_log = logging.getLogger("textmill")

ROWS, PART = 32, 256
"""Texts that are written at the same time, and tokens that a step computes at most."""
_CONTEXT = 4096
"""What LocalAI takes where neither the model nor its file says how much it takes."""
_MODEL = "openvino_model.xml"
_LIMITS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_PRECISIONS = {
    "float": "f32",
    "float32": "f32",
    "half": "f16",
    "float16": "f16",
    "bfloat16": "bf16",
    "": "",
    "auto": "",
}
_CACHED = {
    "f32": "f32",
    "f16": "f16",
    "bf16": "bf16",
    "u8": "u8",
    "u4": "u4",
    "q8_0": "u8",
    "q4_0": "u4",
    "q4_1": "u4",
    "": "",
}
_SAMPLED = ("temperature", "top_p", "top_k", "min_p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model is, what it is called, and what it runs on. ``rows`` and ``part`` None are `ROWS` and `PART`."""

    name: str
    source: str
    folder: Path
    revision: str | None = None
    device: str = ""
    threads: int
    context: int | None = None
    rows: int | None = None
    part: int | None = None


def open_genai(place: Place, fields: Fields, environ: Mapping[str, str]) -> GenaiModel:
    """The model, loaded, as its file's fields have it; blocks. ``environ`` is what its process gets.

    Raises ExtraMissing, ModelBroken, ConfigInvalid for a device or a precision that cannot be.
    """
    need_genai()
    from textmill.providers.genai.template import FolderTokenizer  # noqa: PLC0415 - Jinja is an extra
    from textmill.runtimes.causal_words import TokenizerWords  # noqa: PLC0415 - as above

    folder = place.folder
    if not (folder / _MODEL).is_file():
        raise ModelBroken(_exported(folder))
    told = FolderTokenizer(folder)
    words = TokenizerWords(told)
    config = JsonFile.read(folder / "config.json").data
    own = JsonFile.read_if_there(folder / "generation_config.json").data
    context = _context(config, place)
    ends = _ends(own, config) | frozenset(told.ends)
    asked = Open(
        folder=str(folder),
        device=place.device,
        properties=_properties(fields, place),
        tokens=_tokens(words, told.backend_tokenizer.get_vocab_size()),
        ends=sorted(ends),
        context=context,
        rows=place.rows or ROWS,
        part=place.part or PART,
    )
    process = GenaiProcess(place.name, asked, environ)
    with ExitStack() as undo:
        undo.callback(process.close)
        opened = process.open()
        if opened.note:
            _log.warning("%s: %s", place.name, opened.note)
        tokenizer = Tokenizer(folder, vocabulary=opened.vocabulary, lowercase=False, max_tokens=context)
        undo.pop_all()
    reader = Reader(tokenizer, TextProfile(prompts={}, default_prompt="", max_tokens=context))
    facts = Facts(context=context, vocabulary=opened.vocabulary, rows=asked.rows, ends=ends, sampling=_sampling(own))
    return GenaiModel(
        replace(_info(place, config, asked, opened), template=words.template), process, words, reader, facts
    )


def _exported(folder: Path) -> str:
    return (
        f"{folder} has no {_MODEL}; export the model with: optimum-cli export openvino --model {folder.name} FOLDER; "
        "or take type: AutoModelForCausalLM, which runs its safetensors"
    )


def _properties(fields: Fields, place: Place) -> dict[str, str | int]:
    made: dict[str, str | int] = {"INFERENCE_NUM_THREADS": place.threads, "sampler_num_threads": place.threads}
    precision = _known(
        "dtype", fields.dtype or ("half" if fields.f16 and "GPU" in place.device.upper() else ""), _PRECISIONS
    )
    if precision:
        made["INFERENCE_PRECISION_HINT"] = precision
    for name, key in (("cache_type_k", "KEY_CACHE_PRECISION"), ("cache_type_v", "VALUE_CACHE_PRECISION")):
        cached = _known(name, getattr(fields, name) or "", _CACHED) or ("f32" if precision == "f32" else "")
        if cached:
            made[key] = cached
    return made


def _known(name: str, value: str, known: Mapping[str, str]) -> str:
    if value.lower() not in known:
        msg = f"{name} is {value!r}; models of OpenVINO GenAI can have {', '.join(filter(None, known))}"
        raise ConfigInvalid(msg)
    return known[value.lower()]


def _tokens(words: Words, count: int) -> list[bytes]:
    """The bytes of each token; no grammar has special tokens, but for marks that a reader reads."""
    hidden = {id_ for id_, name in words.special.items() if name not in MARKS}
    return [b"" if id_ in hidden else words.data(id_) for id_ in range(count)]


def _context(config: Mapping[str, Any], place: Place) -> int:
    inner = config.get("text_config", config)
    own = next((value for name in _LIMITS if isinstance(value := inner.get(name), int) and value > 0), 0)
    if own and place.context and place.context > own:
        _log.warning(
            "%s: context_size is %d, and the model takes %d tokens; that is taken", place.name, place.context, own
        )
    return min(own or place.context or _CONTEXT, place.context or own or _CONTEXT)


def _ends(*files: Mapping[str, Any]) -> frozenset[int]:
    """The tokens that end a text, as the model's files have them."""
    found: set[int] = set()
    for file in files:
        stated = file.get("eos_token_id")
        found |= {each for each in (stated if isinstance(stated, list) else [stated]) if isinstance(each, int)}
    return frozenset(found)


def _sampling(stated: Mapping[str, Any]) -> Sampling:
    """What generation_config.json says of sampling."""
    repeat = stated.get("repetition_penalty")
    values = {name: stated.get(name) for name in _SAMPLED} if stated.get("do_sample") else {}
    return Sampling(**values, repeat_penalty=repeat)  # type: ignore[arg-type]


def _info(place: Place, config: Mapping[str, Any], asked: Open, opened: Opened) -> ModelInfo:
    kinds = config.get("architectures")
    return ModelInfo(
        name=place.name,
        aliases=() if place.source == place.name else (place.source,),
        source=place.source,
        revision=place.revision,
        architecture=str(kinds[0]) if isinstance(kinds, list) and kinds else "",
        tasks=("chat", "complete"),
        labels=(),
        pooling="",
        dimensions=0,
        max_tokens=asked.context,
        vocabulary=opened.vocabulary,
        prompts=(),
        default_prompt=None,
        runtime="openvino-genai",
        device=opened.device.lower(),
        dtype=opened.precision,
        int8_cosine=None,
        threads=place.threads,
        batch_tokens=asked.part,
        batch_rows=asked.rows,
        tokenization_workers=0,
        fingerprint=_fingerprint(place.folder, opened.precision),
        created=int(time.time()),
    )


def _fingerprint(folder: Path, precision: str) -> str:
    """16 hex digits over the model's texts, the size of its weights, and the precision."""
    facts = hashlib.sha256(precision.encode())
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja", ".xml") and path.is_file():
            facts.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        elif path.suffix == ".bin":
            facts.update(f"{path.name} {path.stat().st_size}\n".encode())
    return facts.hexdigest()[:16]
