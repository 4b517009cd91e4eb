"""What the three classes have in common: a loaded model with its prompts, its tokenizer, and what code calls on a torch module."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.recipe import Recipe
from textmill.compat.arguments import device_options, dtype_name, load_nearest, load_options, warn
from textmill.compat.names import Organisation, full_name
from textmill.compat.reading import ModelTokenizer
from textmill.config import model_options, sentence_transformers_home
from textmill.errors import ConfigInvalid
from textmill.store.load import load_model, locate, recipe_of
from textmill.store.model import Model

_WINDOW = 256
"""Inputs between two steps of a progress bar."""
_SETTINGS = "config_sentence_transformers.json"
_NOT_PICKLED = frozenset(("_model", "_recipe", "_folder", "_lock", "tokenizer"))
_ELSEWHERE = (
    "textmill runs models and does not {}; do it with sentence-transformers, save the model, and give the folder"
)
_REFUSED = {
    **dict.fromkeys(("fit", "train_model", "old_fit", "gradient_checkpointing_enable", "add_adapter"), "train them"),
    **dict.fromkeys(("save", "save_pretrained", "save_to_hub", "push_to_hub"), "write them"),
    **dict.fromkeys(
        ("forward", "parameters", "named_parameters", "state_dict", "compile", "_first_module"), "open them"
    ),
    **dict.fromkeys(
        ("load_adapter", "set_adapter", "merge", "add_module", "append", "set_pooling_include_prompt"), "change them"
    ),
    **dict.fromkeys(("evaluate",), "evaluate them"),
}
"""What sentence-transformers' models do and these do not."""


class Loaded:
    """A model under a name or in a folder. Thread-safe, but for what changes the model, such as `to`.

    ``prompts`` are its own, with those that the constructor was given before them.
    """

    task = "auto"
    """What the model is loaded for, as `textmill.load` has it."""
    organisation: Organisation = "sentence-transformers"
    """Whose models a name without an owner means."""
    placeholders: tuple[str, ...] = ()
    """Prompts that every model of the class has, empty where nobody says more."""

    def __init__(self, name: str | Path | None, keywords: Mapping[str, Any]) -> None:
        kind = type(self).__name__
        if not isinstance(name, str | Path) or not str(name):
            msg = f"{kind} needs the name or the folder of a model"
            raise ConfigInvalid(msg)
        said = {keyword: value for keyword, value in keywords.items() if value is not None}
        own: dict[str, Any] = {"cache_folder": sentence_transformers_home(), **said}
        prompts, default = own.pop("prompts", None), own.pop("default_prompt_name", None)
        self.backend = own.get("backend") or "torch"
        self.trust_remote_code = bool(own.get("trust_remote_code"))
        self._name = str(name)
        options, remarks = load_options(own, kind)
        for remark in remarks:
            warn(remark, level=4)
        self._options = {"task": self.task, **options}
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._model, self._recipe, self._folder = self._loaded(self._options)
        self._settings = JsonFile.read_if_there(self._folder / _SETTINGS)
        self.prompts = _prompts(prompts or {}, self._settings, self.placeholders)
        self.default_prompt_name: str | None = default or self._settings.get("default_prompt_name", str, "") or None
        if self.default_prompt_name is not None and self.default_prompt_name not in self.prompts:
            msg = f"default_prompt_name is {self.default_prompt_name!r}, and the prompts are {', '.join(self.prompts) or 'none'}"
            raise ValueError(msg)
        self.tokenizer = ModelTokenizer(self._recipe.transformer_folder, self._model.info.max_tokens)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is loaded, which is loaded anew where it is unpickled or copied."""
        return {name: value for name, value in self.__dict__.items() if name not in _NOT_PICKLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._model, self._recipe, self._folder = self._loaded(self._options)
        self.tokenizer = ModelTokenizer(self._recipe.transformer_folder, self._model.info.max_tokens)

    @property
    def device(self) -> Device:
        """Where the model runs, such as ``cpu`` or ``cuda:0``; a text with torch's ``type`` and ``index``."""
        return Device(self._options.get("device", "cpu"))

    @property
    def dtype(self) -> str:
        """The precision that it computes in, such as ``float32``."""
        return self._model.info.dtype

    @property
    def max_seq_length(self) -> int:
        """Tokens of an input at most, special tokens included. Setting it loads the model anew; its table of positions bounds it."""
        return self._model.info.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        """Take inputs of so many tokens at most."""
        self._again(max_seq_length=value)
        if self.max_seq_length < value:
            warn(f"the model takes {self.max_seq_length} tokens at most, so max_seq_length is that and not {value}")
        self.tokenizer.model_max_length = self.max_seq_length

    def get_max_seq_length(self) -> int:
        """`max_seq_length`."""
        return self.max_seq_length

    def get_backend(self) -> str:
        """The backend as the constructor was given it; what runs the model is textmill's own."""
        return str(self.backend)

    def get_model_kwargs(self) -> list[str]:
        """Keywords of the model's own: none."""
        return []

    def to(self, device: object = None, *_: object, **keywords: Any) -> Self:
        """Run on this device, or in this precision; loads the model anew where that is a change."""
        wanted = keywords.get("device", device)
        named = dtype_name(keywords.get("dtype", wanted if "float" in str(wanted) else None))
        changes: dict[str, Any] = {} if named == "None" else {"dtype": named}
        if wanted is not None and "float" not in str(wanted):
            place, remarks = device_options(wanted)
            for remark in remarks:
                warn(remark)
            changes |= {"backend": None, **place}
        self._again(**changes)
        return self

    def cpu(self) -> Self:
        """Run on the CPU."""
        return self.to("cpu")

    def cuda(self, device: object = None) -> Self:
        """Run on a GPU of NVIDIA's."""
        return self.to("cuda" if device is None else device)

    def half(self) -> Self:
        """Compute in float16."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """Compute in bfloat16."""
        return self.to(dtype="bfloat16")

    def float(self) -> Self:
        """Compute in float32."""
        return self.to(dtype="float32")

    def eval(self) -> Self:
        """Itself: nothing is ever trained here."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Itself where ``mode`` is false. Raises NotImplementedError to train."""
        if mode:
            _refuse("train them")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Itself where nothing is to have gradients. Raises NotImplementedError otherwise."""
        return self.train(requires_grad)

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> dict[str, Any]:
        """A pool without processes: a model uses all cores by itself."""
        del target_devices
        self._once("pool", "no pool is started: a model uses all cores of this process, and calls share its batches")
        return {"input": None, "output": None, "processes": []}

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """Nothing: such a pool has no processes."""
        del pool

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """The ids that the model reads, as int64 arrays (texts, longest): ``input_ids`` and ``attention_mask``."""
        texts = [(prompt or "") + text for text in inputs]
        rows = [self.tokenizer.encode(text, max_length=self.max_seq_length) for text in texts]
        width = max(map(len, rows), default=0)
        ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)], mask[index, : len(row)] = row, 1
        return {"input_ids": ids, "attention_mask": mask}

    def tokenize(self, texts: Sequence[str], **_: Any) -> dict[str, Any]:
        """`preprocess`, by its older name."""
        return self.preprocess(texts)

    def close(self) -> None:
        """Free the memory; no more calls."""
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """What textmill does not do raises NotImplementedError once it is called."""
        if name not in _REFUSED:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return lambda *_, **__: _refuse(_REFUSED[name])

    def __getitem__(self, module: int) -> NoReturn:
        _refuse("open them")

    def _prompt(self, prompt: str | None, name: str | None) -> str:
        """What goes in front of texts. Raises ValueError for the name of no prompt."""
        if prompt is not None:
            if name is not None:
                self._once("prompt", "both prompt and prompt_name were given; prompt_name is left out")
            return prompt
        name = self.default_prompt_name if name is None else name
        if name is None:
            return ""
        if name not in self.prompts:
            msg = f"prompt_name is {name!r}, and the prompts are {', '.join(self.prompts) or 'none'}"
            raise ValueError(msg)
        return self.prompts[name]

    def _side(self, prompt: str | None, name: str | None, *sides: str) -> str | None:
        """The prompt's name for one side of a search, by the first of its names that the model has."""
        if prompt is not None or name is not None:
            return name
        return next((side for side in sides if side in self.prompts), None)

    def _no_more(self, keywords: dict[str, Any], verb: str) -> None:
        """Raise ValueError for keywords that no model here takes, and warn of the one that all take there."""
        if keywords.pop("processing_kwargs", None):
            self._once(
                "reading", "nothing is done with processing_kwargs here; max_seq_length says how long inputs may be"
            )
        if keywords:
            msg = f"{verb} takes no {', '.join(map(repr, keywords))}"
            raise ValueError(msg)

    def _placed(self, device: object) -> None:
        """Warn of a device other than the model's, which a call cannot choose here; several are all the same to it."""
        if device is None or isinstance(device, list | tuple):
            return
        if str(device).partition(":")[0] != self.device.type:
            self._once("device", f"the model stays on {self.device}; give the device to the constructor, or to to()")

    def _once(self, key: str, message: str) -> None:
        """Warn of something the first time only."""
        if key not in self._told:
            self._told.add(key)
            warn(message, level=5)

    def _again(self, **changes: Any) -> None:
        """Load the model with other options, where they are others."""
        with self._lock:
            options = {name: value for name, value in {**self._options, **changes}.items() if value is not None}
            if options == self._options:
                return
            before = self._model
            self._model, self._recipe, self._folder = self._loaded(options)
            self._options = options
        before.close()

    def _loaded(self, options: Mapping[str, Any]) -> tuple[Model, Recipe, Path]:
        return load_nearest(self._with, options, level=6)

    def _with(self, options: Mapping[str, Any]) -> tuple[Model, Recipe, Path]:
        chosen = model_options(options)
        place = locate(full_name(self._name, self.organisation), chosen)
        recipe = recipe_of(place, chosen)
        return load_model(str(place.folder), chosen, called=place.name), recipe, place.folder


class Device(str):
    """A device by its name, with the two parts that torch's devices have."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]  # str's is about texts, torch's about devices
        """Which of several, None where it does not say."""
        number = self.partition(":")[2]
        return int(number) if number else None


def windows(inputs: Sequence[Any], *, bar: bool | None) -> Iterator[Sequence[Any]]:
    """The inputs, all at once; with a progress bar in parts."""
    if not bar:
        yield inputs
        return
    from tqdm.auto import tqdm  # noqa: PLC0415 - comes with huggingface_hub

    with tqdm(total=len(inputs), desc="Inputs") as shown:
        for first in range(0, len(inputs), _WINDOW):
            part = inputs[first : first + _WINDOW]
            yield part
            shown.update(len(part))


def listed(inputs: Any) -> tuple[list[Any], bool]:
    """Inputs as a list, and whether it was a single one."""
    if isinstance(inputs, np.ndarray) and not inputs.ndim:
        return [inputs.item()], True
    if isinstance(inputs, str) or not isinstance(inputs, Iterable) or isinstance(inputs, Mapping):
        return [inputs], True
    return (inputs.tolist() if isinstance(inputs, np.ndarray) else list(inputs)), False


def named(inputs: Any, keywords: dict[str, Any], *older: str) -> Any:
    """The inputs, by any of the names that their argument has had. Raises TypeError where there are none."""
    for name in older:
        if name in keywords:
            value = keywords.pop(name)
            inputs = value if inputs is None else inputs
    if inputs is None:
        msg = "there are no inputs; give a text, or a list of them"
        raise TypeError(msg)
    return inputs


def positive(batch_size: int) -> None:
    """Raise ValueError for a batch of no inputs; textmill makes its batches by tokens, whatever else it is."""
    if batch_size <= 0:
        msg = f"batch_size is {batch_size}; it must be at least 1"
        raise ValueError(msg)


def _prompts(given: Mapping[str, str | None], settings: JsonFile, always: Iterable[str]) -> dict[str, str]:
    """The prompts by name: those given, then those of the model's files; empty ones where every model of the class has them."""
    stored: dict[str, str] = settings.get("prompts", dict, {})
    merged = {**dict.fromkeys(always), **given}
    for name, text in stored.items():
        if merged.get(name) is None:
            merged[name] = text
    return {name: text or "" for name, text in merged.items()}


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(_ELSEWHERE.format(what))
