"""What all components have in common: their arguments, and the model that they hold between warm_up and close."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.utils import Secret

import textmill
from textmill.compat import Organisation, full_name, load_nearest, load_options, sentence_transformers_home

HUB_TOKEN = Secret.from_env_var(["HF_API_TOKEN", "HF_TOKEN"], strict=False)
"""Of the hub, from its usual variables, read when a model is loaded."""
_OF_A_PROCESS = ("device", "local_files_only", "revision", "model_kwargs", "tokenizer_kwargs", "config_kwargs")
"""Arguments that are about a model in this process."""


class Held:
    """A component's arguments, as attributes that may be changed and in ``_arguments`` by name, and its model.

    Making one costs nothing. Two components of the same model and options share one loaded model. Pickled or copied, a component
    comes up again from its arguments.
    """

    task = "auto"
    """What the model is loaded for, as `textmill.load` has it."""
    organisation: Organisation = "sentence-transformers"
    """Whose models a name without an owner means."""
    default_model = ""
    """Where none is named."""

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Keep ``locals()`` of an ``__init__``."""
        own = {name: value for name, value in arguments.items() if name not in ("self", "__class__")}
        self._names = tuple(own)
        for name, value in own.items():
            setattr(self, name, value)
        self._lock = threading.Lock()
        self._model: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary; of secrets it has the names of their variables only."""
        return default_to_dict(self, **{name: _plain(value) for name, value in self._arguments.items()})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The component that `to_dict` has described."""
        return default_from_dict(cls, data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._arguments)

    def warm_up(self) -> None:
        """Load the model, or take hold of it if it is loaded with the same options already; does nothing the second time."""
        with self._lock:
            if self._model is None:
                self._model = self._opened()

    async def warm_up_async(self) -> None:
        """`warm_up`, in a thread."""
        await asyncio.to_thread(self.warm_up)

    def close(self) -> None:
        """Let the model go; the next run loads it anew."""
        with self._lock:
            model, self._model = self._model, None
        if model is not None:
            model.close()

    async def close_async(self) -> None:
        """`close`, in a thread."""
        await asyncio.to_thread(self.close)

    @property
    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def _opened(self) -> Any:
        given = self._arguments
        token: Secret | None = given["token"]
        if given.get("url") is not None:
            idle = [name for name in _OF_A_PROCESS if given.get(name)]
            if idle:
                msg = f"{type(self).__name__} does nothing with {', '.join(idle)}, as url names a server"
                warnings.warn(msg, UserWarning, stacklevel=4)
            key: Secret | None = given["api_key"]
            return textmill.connect(given["url"], given["model"], api_key=key.resolve_value() if key else None)
        names = ("local_files_only", "revision", "model_kwargs", "tokenizer_kwargs", "config_kwargs", "backend")
        options, remarks = load_options(
            {
                "token": token.resolve_value() if token else None,
                "cache_folder": sentence_transformers_home(),
                "device": given["device"].to_torch_str() if given["device"] else None,
                **{name: given.get(name) for name in names},
            },
            type(self).__name__,
        )
        for remark in remarks:
            warnings.warn(remark, UserWarning, stacklevel=4)
        name = full_name(given["model"] or self.default_model, self.organisation)
        return load_nearest(lambda chosen: textmill.shared(name, **chosen), {"task": self.task, **options}, level=5)

    def _text(self, text: str) -> str:
        """What stands for a text."""
        return f"{self._arguments['prefix']}{text}{self._arguments['suffix']}"

    def _texts(self, documents: Sequence[Document]) -> list[str]:
        """What stands for each document."""
        given = self._arguments
        fields = given["meta_fields_to_embed"] or []
        return texts_of(documents, fields, given["embedding_separator"], given["prefix"], given["suffix"])


def _made(kind: type[Any], arguments: Mapping[str, Any]) -> Any:
    return kind(**arguments)


def _plain(value: Any) -> Any:
    """A value with texts where a precision of PyTorch's is in it, which no pipeline could be written down with."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return str(value) if type(value).__module__ == "torch" else value


def texts_of(
    documents: Sequence[Document], fields: Sequence[str], separator: str, prefix: str, suffix: str
) -> list[str]:
    """Of each document the text that stands for it: its metadata's fields and its content."""
    parts = (
        [*(str(each.meta[key]) for key in fields if each.meta.get(key) is not None), each.content or ""]
        for each in documents
    )
    return [prefix + separator.join(part) + suffix for part in parts]


def check_documents(documents: object, component: str, other: str) -> None:
    """Raise TypeError for anything but a list of documents."""
    if not isinstance(documents, list) or not all(isinstance(each, Document) for each in documents):
        msg = f"{component} takes a list of Documents; for a text there is {other}"
        raise TypeError(msg)


def check_text(text: object, component: str, other: str) -> None:
    """Raise TypeError for anything but a text."""
    if not isinstance(text, str):
        msg = f"{component} takes a text; for a list of Documents there is {other}"
        raise TypeError(msg)
