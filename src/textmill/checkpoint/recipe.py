"""What a checkpoint says about itself, read from its JSON files and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textmill.arch.heads import Head, Output, Pooling
from textmill.arch.ops import Tensor
from textmill.checkpoint import static as tables
from textmill.checkpoint.artefacts import Artefact
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Kind
from textmill.checkpoint.kinds import read_kind
from textmill.checkpoint.lengths import max_tokens
from textmill.checkpoint.source import Ask, Source, open_source
from textmill.checkpoint.tensors import file_sha256, open_file, open_tensors, weights_sha256
from textmill.contract import Side
from textmill.errors import ModelBroken


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checkpoint's facts.

    ``config`` is config.json and ``kind`` what the model can answer. ``prompts`` are by name and ``default_prompt_name`` is
    one of them or None; ``own_prompt`` is the user's in place of that. ``max_tokens`` includes special tokens; ``lowercase`` asks the tokenizer for lower case before its own
    rules. ``truncate_dimensions`` is the number of leading values that the model's author keeps, or None for all.
    ``adapters`` are the names of the architecture's task adapters, in order. ``segments`` says whether it tells the two texts
    of a pair apart. ``static``: a table has a vector for each token, without special ones, and its last row is that of a text
    without tokens. ``artefact`` is a ready-made graph to be run in place of the transformer's safetensors.
    """

    folder: Path
    transformer_folder: Path
    config: Mapping[str, Any]
    architecture: str
    vocabulary: int
    kind: Kind
    truncate_dimensions: int | None
    prompts: Mapping[str, str]
    default_prompt_name: str | None
    max_tokens: int
    truncate_side: Side
    lowercase: bool
    adapters: tuple[str, ...]
    segments: bool
    static: bool = False
    artefact: Artefact | None = None
    own_prompt: str | None = None

    @property
    def outputs(self) -> Mapping[Output, tuple[Head, ...]]:
        """For each output the heads that lead to it."""
        return self.kind.outputs

    @property
    def default_prompt(self) -> str:
        """The text that goes in front of inputs which ask for no prompt."""
        if self.own_prompt is not None:
            return self.own_prompt
        return self.prompts[self.default_prompt_name] if self.default_prompt_name is not None else ""

    @property
    def pooling(self) -> str:
        """How tokens become one vector, for a person to read, such as ``mean`` or ``cls+mean``; empty where they do not."""
        heads = self.outputs.get("dense", ())
        return "+".join(mode for head in heads if isinstance(head, Pooling) for mode in head.modes)

    def weights_sha256(self) -> str:
        """A hash over the transformer's weights, or its artefact, and those of the heads, in hex; other threads run meanwhile."""
        own = weights_sha256(self.transformer_folder) if self.artefact is None else self.artefact.sha256()
        more = [weights_sha256(self.folder / path) for path in self.kind.head_folders]
        more += [file_sha256(self.folder / f"{name}.safetensors") for name in self.kind.head_files]
        if self.kind.sparse is not None and self.kind.sparse.static_queries is not None:
            more.append(weights_sha256(self.kind.sparse.static_queries))
        return hashlib.sha256("\n".join((own, *more)).encode()).hexdigest() if more else own


def read_recipe(folder: Path, ask: Ask | None = None) -> Recipe:
    """The recipe of a sentence-transformers folder or of a bare transformers folder.

    Raises ModelBroken, naming the file, for whatever is missing, ill-typed, or not something that textmill runs.
    """
    asked = ask or Ask()
    source = open_source(folder, asked)
    prompts, default = _prompts(source.model)
    static = source.architecture.__name__.endswith(".static")
    return Recipe(
        folder=folder,
        transformer_folder=source.inside,
        config=source.config.data,
        architecture=source.config.require("model_type", str),
        vocabulary=source.parsed.vocab_size,
        kind=read_kind(source),
        truncate_dimensions=_truncate_dimensions(source),
        prompts=prompts,
        default_prompt_name=default,
        max_tokens=_max_tokens(source, asked.max_seq_length, static=static),
        truncate_side="left" if source.tokenizer.get("truncation_side", str, "right") == "left" else "right",
        lowercase=source.settings.get("do_lower_case", bool, default=False),
        adapters=tuple(getattr(source.parsed, "adapters", ())),
        segments=_segments(source),
        static=static,
        artefact=source.artefact,
    )


def load_tensors(recipe: Recipe) -> dict[str, Tensor]:
    """The transformer's tensors by their own names, and each head's under ``"{path}."``.

    Raises ModelBroken where files are missing or damaged, or a head's shapes are not those of its config.json.
    """
    tensors = {} if recipe.artefact else _transformer(recipe)
    for path in recipe.kind.head_folders:
        opened = open_tensors(recipe.folder / path, prefix=f"{path}.")
        _check_head(recipe, path, opened)
        tensors |= opened
    for name in recipe.kind.head_files:
        tensors |= open_file(recipe.folder / f"{name}.safetensors", prefix=f"{name}.")
    return tensors


def _transformer(recipe: Recipe) -> dict[str, Tensor]:
    folder = recipe.transformer_folder
    return dict(tables.open_table(folder)) if recipe.static else open_tensors(folder)


def _max_tokens(source: Source, asked: int | None, *, static: bool) -> int:
    """The most tokens of an input: what the files say, or what is asked for as far as the model has positions for it."""
    if static:
        most: int | None = tables.max_tokens(source.inside)
    elif asked is None:
        most = max_tokens(source.config, source.parsed.positions, source.settings, source.tokenizer)
    elif source.artefact is not None:  # a graph does not say how long its table is
        most = max_tokens(source.config, asked, JsonFile(source.settings.path, {}), source.tokenizer)
    else:
        most = source.parsed.positions
    return min(limit for limit in (asked, most) if limit is not None)


def _truncate_dimensions(source: Source) -> int | None:
    return None if source.model.data.get("truncate_dim") is None else source.model.size("truncate_dim")


def _segments(source: Source) -> bool:
    """Whether the model has more than one segment, and its tokenizer tells it which."""
    # What transformers 5 saves as a tokenizer of no family names no segments unless it says so; all before it did.
    given = ["token_type_ids"] * (source.tokenizer.get("tokenizer_class", str, "") != "TokenizersBackend")
    names = source.tokenizer.get("model_input_names", list, given)
    return "token_type_ids" in names and getattr(source.parsed, "type_vocab_size", 0) > 1


def _prompts(model: JsonFile) -> tuple[dict[str, str], str | None]:
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
