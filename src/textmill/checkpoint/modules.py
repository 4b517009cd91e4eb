"""modules.json of sentence-transformers: which steps lead from token states to an embedding."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from textmill.arch.heads import Dense, Head, LayerNorm, Normalize, Pooling
from textmill.arch.ops import Activation, Pool
from textmill.checkpoint.jsonfile import JsonFile, read_json
from textmill.errors import ModelBroken

_log = logging.getLogger(__name__)

MODULES = "modules.json"

_POOLS: dict[str, Pool] = {
    # sentence-transformers joins several modes of the old spelling in this order.
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_OWN_TRANSFORMERS = ("custom_st.Transformer",)
"""First modules in code of a repository's own that differ from a Transformer only in how a call names its adapter (Jina's)."""
_ACTIVATIONS: dict[str, Activation | None] = {
    "GELU": "gelu",
    "Identity": None,
    "ReLU": "relu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
}


@dataclass(frozen=True, slots=True)
class Module:
    """An entry of modules.json: the class name of ``kind`` with its import path, and its folder below the model's."""

    kind: str
    path: str
    index: int


def read_modules(folder: Path) -> list[Module]:
    """The entries of modules.json; raises ModelBroken for a list that makes no sense or a path out of the model."""
    path = folder / MODULES
    entries = read_json(path)
    modules = []
    for index, entry in enumerate(entries if isinstance(entries, list) else [None]):
        match entry:
            case {"type": str(kind), "path": str(where)} if _inside(where):
                modules.append(Module(kind, where, index))
            case _:
                msg = f"{path}: entry {index} must be an object with a type and a path below the model, not {entry!r}"
                raise ModelBroken(msg)
    if not modules:
        msg = f"{path} lists no modules"
        raise ModelBroken(msg)
    return modules


def with_dense(modules: list[Module], folder: Path, path: str) -> list[Module]:
    """The modules with another folder for the Dense module; as they are, with a warning, where there is not exactly one.

    Raises ModelBroken for a folder that is none below the model's.
    """
    places = [place for place, module in enumerate(modules) if place and class_name(module, folder) == "Dense"]
    if len(places) != 1:
        _log.warning(
            "%s has %d Dense modules; dense_path %r replaces one where it is the only one", folder, len(places), path
        )
        return modules
    if not _inside(path) or not (folder / path).is_dir():
        others = sorted(file.parent.name for file in folder.glob("*/config.json") if "Dense" in file.parent.name)
        msg = f"dense_path {path!r} is no folder of {folder}; its Dense modules are: {', '.join(others) or 'none'}"
        raise ModelBroken(msg)
    return [replace(module, path=path) if place in places else module for place, module in enumerate(modules)]


def read_heads(folder: Path, modules: list[Module], hidden: int) -> tuple[Head, ...]:
    """What follows the Transformer, for token states of ``hidden`` features.

    Raises ModelBroken, naming the module and its path, for a kind or a setting that textmill does not run.
    """
    # A table of static embeddings pools by itself.
    heads: list[Head] = [Pooling(("mean",))] if class_name(modules[0], folder) == "StaticEmbedding" else []
    width = hidden
    for module in modules[1:]:
        name = class_name(module, folder)
        if name == "Dropout":  # does nothing outside of training
            continue
        reader = _READERS.get(name)
        if reader is None or (name == "Pooling") == bool(heads):
            raise _refused(module, folder, "textmill runs one Transformer, then one Pooling, then these in any order")
        read = JsonFile.read_if_there if name == "Normalize" else JsonFile.read
        head, width = reader(read(folder / module.path / "config.json"), module.path, width)
        heads.append(head)
    if not heads:
        msg = f"{folder / MODULES} has no Pooling, so nothing says how tokens become one vector"
        raise ModelBroken(msg)
    return tuple(heads)


def read_token_heads(folder: Path, modules: list[Module], hidden: int) -> tuple[Head, ...]:
    """What follows the Transformer of a multi-vector model: Dense, LayerNorm and Normalize, each on every token.

    Raises ModelBroken as `read_heads` does.
    """
    heads: list[Head] = []
    width = hidden
    for module in modules[1:]:
        reader = _TOKEN_READERS.get(class_name(module, folder))
        if reader is None:
            why = f"behind the Transformer of a multi-vector model textmill runs {', '.join(_TOKEN_READERS)} and MultiVectorMask"
            raise _refused(module, folder, why)
        file = JsonFile.read_if_there(folder / module.path / "config.json")
        head, width = reader(_on_tokens(file), module.path, width)
        heads.append(head)
    return tuple(heads)


def read_router(folder: Path, router: Module) -> dict[str, list[Module]]:
    """The modules of each route of a Router, by the route's name, with their paths below the model's folder.

    Raises ModelBroken for a router_config.json that makes no sense.
    """
    file = JsonFile.read(folder / router.path / "router_config.json")
    types = JsonFile(file.path, file.require("types", dict))
    routes: dict[str, list[Module]] = {}
    for route, names in file.require("structure", dict).items():
        routes[route] = [
            Module(types.require(str(name), str), (PurePosixPath(router.path) / str(name)).as_posix(), index)
            for index, name in enumerate(names)
        ]
        for module in routes[route]:
            if not _inside(module.path):
                msg = f"{file.path}: {module.path} is not a path below the model"
                raise ModelBroken(msg)
    return routes


def class_name(module: Module, folder: Path) -> str:
    """The last part of a module's type, whatever the release that wrote it; raises ModelBroken for custom code."""
    if module.kind in _OWN_TRANSFORMERS and module.index == 0:
        return "Transformer"
    package, _, _ = module.kind.partition(".")
    if package != "sentence_transformers" and module.kind != _PYLATE_DENSE:
        raise _refused(module, folder, "textmill never runs code from a model repository")
    return module.kind.rpartition(".")[2]


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path


def _refused(module: Module, folder: Path, why: str) -> ModelBroken:
    known = ", ".join(["Transformer", *_READERS, "Dropout"])
    return ModelBroken(
        f"{folder / MODULES}: module {module.index} is {module.kind} (path {module.path!r}), which cannot run here; "
        f"{why} ({known})"
    )


def _pooling(file: JsonFile, _: str, width: int) -> tuple[Head, int]:
    named = file.data.get("pooling_mode")
    modes: list[Any]
    if named is None:
        modes = [mode for key, mode in _POOLS.items() if file.get(key, bool, default=False)] or ["mean"]
    else:
        modes = [named] if isinstance(named, str) else file.get("pooling_mode", list, [])
    known = {str(pool): pool for pool in _POOLS.values()}
    if not modes or not all(mode in known for mode in map(str, modes)):
        msg = f"{file.path}: pooling_mode {named!r} is unknown; textmill pools by {', '.join(known)}"
        raise ModelBroken(msg)
    _expect_width(
        file, "word_embedding_dimension" if "word_embedding_dimension" in file.data else "embedding_dimension", width
    )
    pools = tuple(known[mode] for mode in modes)
    return Pooling(pools, file.get("include_prompt", bool, default=True)), width * len(pools)


def _dense(file: JsonFile, path: str, width: int) -> tuple[Head, int]:
    _expect_sentence_embedding(file)
    _expect_width(file, "in_features", width)
    if file.get("use_residual", bool, default=False):
        msg = f"{file.path}: use_residual is not something that textmill runs"
        raise ModelBroken(msg)
    # Without the key, sentence-transformers takes the constructor's default.
    dotted = file.get("activation_function", str, "torch.nn.modules.activation.Tanh")
    package, _, name = dotted.rpartition(".")
    if not package.startswith("torch.nn") or name not in _ACTIVATIONS:
        msg = (
            f"{file.path}: activation_function {dotted} is unknown; textmill has {', '.join(_ACTIVATIONS)} of torch.nn"
        )
        raise ModelBroken(msg)
    return Dense(f"{path}.linear", _ACTIVATIONS[name]), file.size("out_features")


def _layer_norm(file: JsonFile, path: str, width: int) -> tuple[Head, int]:
    _expect_width(file, "dimension", width)
    return LayerNorm(f"{path}.norm"), width


def _normalize(file: JsonFile, _: str, width: int) -> tuple[Head, int]:
    _expect_sentence_embedding(file)
    return Normalize(), width


def _expect_width(file: JsonFile, key: str, width: int) -> None:
    if file.size(key) != width:
        msg = f"{file.path}: {key} is {file.size(key)}, but vectors of {width} features reach this module"
        raise ModelBroken(msg)


def _expect_sentence_embedding(file: JsonFile) -> None:
    """Newer releases can point a module at another tensor, such as the token states of multi-vector models."""
    for key in ("module_input_name", "module_output_name"):
        name = file.get(key, str, "sentence_embedding")
        if name != "sentence_embedding":
            msg = f"{file.path}: {key} is {name!r}; textmill runs this module on the sentence embedding only"
            raise ModelBroken(msg)


def _on_tokens(file: JsonFile) -> JsonFile:
    """The settings of a module that works on token states; raises ModelBroken where it works on something else."""
    for key in ("module_input_name", "module_output_name"):
        name = file.get(key, str, "token_embeddings")
        if name != "token_embeddings":
            msg = f"{file.path}: {key} is {name!r}; in a multi-vector model it must be 'token_embeddings'"
            raise ModelBroken(msg)
    return JsonFile(file.path, {key: value for key, value in file.data.items() if not key.startswith("module_")})


_PYLATE_DENSE = "pylate.models.Dense.Dense"
_READERS: dict[str, Callable[[JsonFile, str, int], tuple[Head, int]]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
}
_TOKEN_READERS = {name: _READERS[name] for name in ("Dense", "LayerNorm", "Normalize")}
