"""What lies at a path of the models folder: the form of the weights, told by their content, and what their JSON files say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textmill.errors import ModelBroken
from textmill.folder.gguf import MAGIC, GgufFacts, read_gguf

Form = Literal[
    "safetensors",
    "onnx",
    "openvino",
    "static",
    "gguf",
    "ggml",
    "gptq",
    "awq",
    "exl2",
    "quantised",
    "pytorch",
    "pickle",
    "unknown",
]

FOLDERS = ("safetensors", "onnx", "openvino", "static")
"""Forms that textmill's own runtimes run."""

_OLD = (b"lmgg", b"fmgg", b"tjgg", b"algg")
"""How ggml, ggmf, ggjt and ggla files begin: numbers that llama.cpp wrote in little-endian before GGUF."""
_PICKLES = (b"PK\x03\x04", b"\x80\x02")
_MAX_JSON = 16 << 20
_HEAD = 8
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of weights without loading them.

    ``trained_as`` is the first class name in `architectures` of config.json, ``modules`` are the last parts of the types in
    modules.json, ``kind`` is model_type of config_sentence_transformers.json and ``labels`` the number of classes, 0 where
    config.json names none. ``context`` is how many tokens the model takes at most, 0 where no file says. ``hybrid`` models have bge-m3's heads for sparse and multi-vector embeddings beside the
    dense one. ``openvino``: openvino_model.xml is there, whatever else is.
    """

    form: Form
    model_type: str = ""
    trained_as: str = ""
    modules: tuple[str, ...] = ()
    kind: str = ""
    labels: int = 0
    context: int = 0
    chat_template: bool = False
    hybrid: bool = False
    openvino: bool = False
    gguf: GgufFacts | None = None


def look(path: Path) -> Facts:
    """The facts of a file or folder; raises ModelBroken, naming the file, for one that is damaged or may not be read."""
    try:
        if path.is_dir():
            return _folder(path)
        return _file(path) if path.is_file() else Facts("unknown")  # opening a pipe would wait for its other end
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise ModelBroken(msg) from None


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a model's: it has modules.json, or config.json beside weights of a form that is known."""
    if (path / "modules.json").is_file():
        return True
    return (path / "config.json").is_file() and _form(path, {}) != "unknown"


def head(path: Path) -> bytes:
    """The first bytes of a file; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _file(path: Path) -> Facts:
    first = head(path)
    if first[:4] == MAGIC:
        facts = read_gguf(path)
        return Facts("gguf", facts.architecture, context=facts.context, chat_template=facts.chat_template, gguf=facts)
    if first[:4] in _OLD:
        return Facts("ggml")
    return Facts("pickle" if first.startswith(_PICKLES) else "unknown")


def _folder(path: Path) -> Facts:
    modules = _modules(path)
    inside = path / modules[0][1] if modules else path
    config = _object(inside / "config.json")
    names = tuple(kind.rpartition(".")[2] for kind, _ in modules)
    static = names[:1] == ("StaticEmbedding",) or config.get("model_type") == "model2vec"
    trained = config.get("architectures")
    return Facts(
        form="static" if static else _form(inside, config),
        model_type=str(config.get("model_type") or ""),
        trained_as=str(trained[0]) if isinstance(trained, list) and trained else "",
        modules=names,
        kind=str(_object(path / "config_sentence_transformers.json").get("model_type") or "") if modules else "",
        labels=_labels(config),
        context=_number(config, "max_position_embeddings"),
        chat_template=(inside / "chat_template.jinja").is_file()
        or bool(_object(inside / "tokenizer_config.json").get("chat_template")),
        hybrid=all((path / f"{name}_linear.safetensors").is_file() for name in ("sparse", "colbert")),
        openvino=(inside / "openvino_model.xml").is_file(),
    )


def _form(path: Path, config: Mapping[str, Any]) -> Form:
    """The form of the weights in a folder, the one that textmill would run first."""
    quantised = config.get("quantization_config")
    if isinstance(quantised, Mapping):
        method = str(quantised.get("quant_method") or "")
        return {"gptq": "gptq", "awq": "awq", "exl2": "exl2"}.get(method, "quantised")  # type: ignore[return-value]
    if (path / "quantize_config.json").is_file():
        return "gptq"
    if any((path / name).is_file() for name in _WEIGHTS):
        return "safetensors"
    for form, ending in (("openvino", "xml"), ("onnx", "onnx")):
        if any(next(path.glob(pattern), None) for pattern in (f"*.{ending}", f"*/*.{ending}")):
            return form  # type: ignore[return-value]
    if any(path.glob("*.safetensors")):
        return "safetensors"
    return "pytorch" if any(path.glob("pytorch_model*.bin")) else "unknown"


def _modules(path: Path) -> list[tuple[str, str]]:
    """Types and paths of modules.json; none where it is absent."""
    file = path / "modules.json"
    if not file.is_file():
        return []
    found = _json(file)
    entries = found if isinstance(found, list) else []
    modules = [(str(entry.get("type")), str(entry.get("path"))) for entry in entries if isinstance(entry, Mapping)]
    if not modules or any(part == ".." or place.startswith("/") for _, place in modules for part in place.split("/")):
        msg = f"{file} must list modules, each with a type and a path below the model"
        raise ModelBroken(msg)
    return modules


def _labels(config: Mapping[str, Any]) -> int:
    for key in ("id2label", "label2id"):
        if isinstance(config.get(key), Mapping):
            return len(config[key])
    return _number(config, "num_labels")


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _object(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file; an empty one where the file is absent."""
    if not path.is_file():
        return {}
    value = _json(path)
    if not isinstance(value, dict):
        msg = f"{path} must hold a JSON object"
        raise ModelBroken(msg)
    return value


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_JSON:
            msg = f"{path} is too large for what it should hold"
            raise ModelBroken(msg)
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read as JSON: {error}"
        raise ModelBroken(msg) from None
