"""What a checkpoint says about itself, read from its JSON files and checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textmill.arch.config import parse_config
from textmill.arch.families import architecture
from textmill.arch.heads import Dense, Head, LayerNorm, Normalize, Output, Pooling
from textmill.arch.ops import Tensor
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.lengths import max_tokens
from textmill.checkpoint.modules import MODULES, Module, class_name, read_heads, read_modules
from textmill.checkpoint.tensors import open_tensors
from textmill.contract import Side
from textmill.errors import ModelBroken

_log = logging.getLogger(__name__)

_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checkpoint's facts.

    ``config`` is config.json; ``outputs`` has for each output the heads that lead to it from the token states, without the
    normalising at their end. ``prompts`` are by name and ``default_prompt_name`` is one of them or None.
    ``head_folders`` hold the weights of heads of sentence-transformers. ``max_tokens`` includes special tokens; ``lowercase`` asks the tokenizer for lower case before its own rules.
    ``truncate_dimensions`` is the number of leading values that the model's author keeps, or None for all.
    """

    folder: Path
    transformer_folder: Path
    config: Mapping[str, Any]
    architecture: str
    vocabulary: int
    outputs: Mapping[Output, tuple[Head, ...]]
    head_folders: tuple[str, ...]
    truncate_dimensions: int | None
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    max_tokens: int
    truncate_side: Side
    lowercase: bool

    @property
    def pooling(self) -> str:
        """How tokens become one vector, for a person to read, such as ``mean`` or ``cls+mean``."""
        return "+".join(mode for head in self.outputs["dense"] if isinstance(head, Pooling) for mode in head.modes)

    @property
    def weight_folders(self) -> tuple[Path, ...]:
        """The folders that hold weights: the transformer's, then those of the heads that have some."""
        return (self.transformer_folder, *(self.folder / path for path in self.head_folders))


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a sentence-transformers folder or of a bare transformers folder.

    Raises ModelBroken, naming the file, for whatever is missing, ill-typed, or not something that textmill runs.
    """
    modules = _modules(folder)
    inside = folder / modules[0].path if modules else folder
    settings = _transformer_settings(inside)
    config = JsonFile.read(inside / "config.json")
    # sentence-transformers lets its own file override config.json.
    overrides = {**settings.get("config_args", dict, {}), **settings.get("config_kwargs", dict, {})}
    config = JsonFile(config.path, {**config.data, **overrides})
    parsed = parse_config(architecture(config.data).Config, config.data)
    heads = read_heads(folder, modules, parsed.hidden_size) if modules else _default_heads(config)
    kept = list(heads)
    while isinstance(kept[-1], Normalize):
        kept.pop()
    model = JsonFile.read_if_there(folder / "config_sentence_transformers.json") if modules else JsonFile(folder, {})
    prompts, default = _prompts(model)
    tokenizer = JsonFile.read_if_there(inside / "tokenizer_config.json")
    recipe = Recipe(
        folder=folder,
        transformer_folder=inside,
        config=config.data,
        architecture=config.require("model_type", str),
        vocabulary=parsed.vocab_size,
        outputs={"dense": tuple(kept), "tokens": ()},
        head_folders=tuple(head.name.rpartition(".")[0] for head in kept if isinstance(head, Dense | LayerNorm)),
        truncate_dimensions=None if model.data.get("truncate_dim") is None else model.size("truncate_dim"),
        prompts=prompts,
        default_prompt_name=default,
        max_tokens=max_tokens(config, parsed.positions, settings, tokenizer),
        truncate_side="left" if tokenizer.get("truncation_side", str, "right") == "left" else "right",
        lowercase=settings.get("do_lower_case", bool, default=False),
    )
    if not modules:  # said only of a folder that is otherwise sound
        _log.warning(
            "%s has no %s: its token states are pooled as sentence-transformers does by default", folder, MODULES
        )
    return recipe


def load_tensors(recipe: Recipe) -> dict[str, Tensor]:
    """The transformer's tensors by their own names, and each head's under ``"{path}."``.

    Raises ModelBroken where files are missing or damaged, or a head's shapes are not those of its config.json.
    """
    tensors = open_tensors(recipe.transformer_folder)
    for path in recipe.head_folders:
        opened = open_tensors(recipe.folder / path, prefix=f"{path}.")
        _check_head(recipe, path, opened)
        tensors |= opened
    return tensors


def _modules(folder: Path) -> list[Module]:
    """The entries of modules.json, the first being a Transformer; none for a bare transformers folder."""
    if not folder.is_dir():
        msg = f"the model's folder {folder} is missing"
        raise ModelBroken(msg)
    if not (folder / MODULES).is_file():
        return []
    modules = read_modules(folder)
    if class_name(modules[0], folder) != "Transformer":
        msg = f"{folder / MODULES} begins with {modules[0].kind}; textmill runs models that begin with a Transformer"
        raise ModelBroken(msg)
    return modules


def _default_heads(config: JsonFile) -> tuple[Head, ...]:
    """Mean pooling; the last token for a causal language model, as sentence-transformers 6 does."""
    names = config.get("architectures", list, [])
    causal = bool(names) and str(names[0]).endswith("ForCausalLM") and config.get("is_causal", bool, default=True)
    return (Pooling(("lasttoken",) if causal else ("mean",)),)


def _transformer_settings(inside: Path) -> JsonFile:
    """sentence_bert_config.json or its older names; raises ModelBroken for a setting that changes more than lengths."""
    paths = [inside / name for name in _TRANSFORMER_CONFIGS]
    file = JsonFile.read_if_there(next((path for path in paths if path.is_file()), paths[0]))
    _expect(file, "transformer_task", "feature-extraction")
    _expect(file, "module_output_name", "token_embeddings")
    text = JsonFile(file.path, file.get("modality_config", dict, {"text": {}})).require("text", dict)
    _expect(JsonFile(file.path, text), "method", "forward")
    _expect(JsonFile(file.path, text), "method_output_name", "last_hidden_state")
    for key in ("processing_kwargs", "query_expansion", "query_length", "document_length"):
        if file.data.get(key):
            msg = f"{file.path}: {key} is not something that textmill runs yet"
            raise ModelBroken(msg)
    return file


def _expect(file: JsonFile, key: str, wanted: str) -> None:
    value = file.get(key, str, wanted)
    if value != wanted:
        msg = f"{file.path}: {key} is {value!r}; textmill embeds with {wanted!r} only"
        raise ModelBroken(msg)


def _prompts(model: JsonFile) -> tuple[dict[str, str], str | None]:
    kind = model.get("model_type", str, "SentenceTransformer")
    if kind != "SentenceTransformer":
        msg = f"{model.path}: model_type is {kind}; textmill embeds with models of type SentenceTransformer"
        raise ModelBroken(msg)
    texts = JsonFile(model.path, model.get("prompts", dict, {}))
    prompts = {name: texts.get(name, str, "") for name in texts.data}
    default = model.get("default_prompt_name", str, "")
    if default and default not in prompts:
        msg = f"{model.path}: default_prompt_name {default!r} is not among the prompts ({', '.join(prompts) or 'none'})"
        raise ModelBroken(msg)
    return prompts, default or None


def _check_head(recipe: Recipe, path: str, tensors: Mapping[str, Tensor]) -> None:
    file = JsonFile.read(recipe.folder / path / "config.json")
    if "dimension" in file.data:
        shapes: dict[str, tuple[int, ...]] = {f"norm.{part}": (file.size("dimension"),) for part in ("weight", "bias")}
    else:
        out = file.size("out_features")
        shapes = {"linear.weight": (out, file.size("in_features"))}
        if file.get("bias", bool, default=True):
            shapes["linear.bias"] = (out,)
    found = {name.removeprefix(f"{path}."): tensor.shape for name, tensor in tensors.items()}
    if found != shapes:
        msg = f"{file.path} describes tensors {shapes}, but its weights are {found}"
        raise ModelBroken(msg)
