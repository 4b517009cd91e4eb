"""TextmillEmbedding: a model of textmill's in the process, with the arguments of HuggingFaceEmbedding."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr, field_serializer
from llama_index.core.callbacks import CallbackManager
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.schema import ImageType
from llama_index.core.utils import get_tqdm_iterable
from llama_index.embeddings.textmill.arguments import device_name, known, meaning, without_secrets
from llama_index.embeddings.textmill.encoder import Encoder
from llama_index.embeddings.textmill.engines import opened
from llama_index.embeddings.textmill.instructions import PromptPolicy, Side, prompt_of
from llama_index.embeddings.textmill.pickles import restore, state_of
from llama_index.embeddings.textmill.sides import BySide

from textmill.compat import embed_options, log_prompt

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "BAAI/bge-small-en"
"""HuggingFaceEmbedding's."""
MOST_TEXTS = 2048
"""LlamaIndex's limit to ``embed_batch_size``: textmill makes batches by tokens itself, and many texts let it sort them by length."""
_TEXTS_A_STEP = 256
"""Between two steps of a progress bar."""
_DEPRECATED = "deprecated"
_OF_SENTENCE_TRANSFORMERS = (
    *("backend", "model_kwargs", "tokenizer_kwargs", "config_kwargs", "cache_folder"),
    *("revision", "local_files_only", "default_prompt_name", "trust_remote_code"),
)
_NOT_PICKLED = ("callback_manager", "rate_limiter")


class TextmillEmbedding(BySide, MultiModalEmbedding):
    """Embeds with a model of textmill's in the process, and takes what HuggingFaceEmbedding takes; what it cannot use, it says in a warning.

    ``prompt_policy`` says what stands before texts where there is no ``query_instruction`` or ``text_instruction`` (an empty one is
    none): the model's own prompts, or with ``"llamaindex"`` those of HuggingFaceEmbedding. ``load_kwargs`` go to `textmill.load`:
    ``threads``, ``dtype``, ``pooling`` … Instances that ask for the same share one loaded model, which goes with the last of them.
    Thread-safe. Neither a token nor a cache of embeddings is part of what `to_dict` gives.

    Raises what `textmill.load` raises when made, and what `textmill.Model.embed` raises when used.
    """

    max_length: int = Field(default=512, description="Tokens of a text at most.", gt=0)
    normalize: bool = Field(default=True, description="Scale vectors to unit length, as some models do themselves.")
    query_instruction: str | None = Field(default=None, description="Put before queries; an empty one is none.")
    text_instruction: str | None = Field(default=None, description="Put before texts; an empty one is none.")
    cache_folder: str | None = Field(default=None, description="Folder of the hub's cache.")
    show_progress_bar: bool = Field(default=False, description="Show how far each call is.")
    trust_remote_code: bool = Field(default=False, description="Without effect: no code of a repository is run.")
    device: str | None = Field(default=None, description="Where to run: cpu, cuda, cuda:1, mps, npu, xpu.")
    parallel_process: bool = Field(default=False, description="Without effect: one engine keeps the device busy.")
    target_devices: list[str] | None = Field(
        default=None, description="With `parallel_process`, the first in place of `device`."
    )
    backend: Literal["torch", "onnx", "openvino"] = Field(
        default="torch", description="As asked; the log says what runs."
    )
    model_kwargs: dict[str, Any] = Field(default_factory=dict, description="dtype, file_name, device_map …")
    tokenizer_kwargs: dict[str, Any] = Field(default_factory=dict, description="model_max_length.")
    config_kwargs: dict[str, Any] = Field(default_factory=dict, description="Without effect.")
    truncate_dim: int | None = Field(default=None, description="Keep that many values, then normalise.", gt=0)
    revision: str | None = Field(default=None, description="Commit, tag or branch on the hub.")
    local_files_only: bool = Field(default=False, description="Do not use the network.")
    default_prompt_name: str | None = Field(
        default=None, description="The model's prompt where no other is for a text."
    )
    similarity_fn_name: Literal["cosine", "dot", "euclidean", "manhattan"] | None = Field(
        default=None, description="Of `_model.similarity`."
    )
    prompt_policy: PromptPolicy = Field(default="model", description="Whose prompts stand before texts.")
    load_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further keywords of textmill.load.")
    embeddings_cache: Any | None = Field(default=None, description="Cache for the embeddings.", exclude=True)

    _model: Encoder = PrivateAttr()
    _device: str = PrivateAttr()
    _parallel_process: bool = PrivateAttr()
    _target_devices: list[str] | None = PrivateAttr()
    _max_length: int | None = PrivateAttr()
    _prompts: Mapping[Side, Mapping[str, Any]] = PrivateAttr()

    def __init__(  # noqa: PLR0917 - the order is HuggingFaceEmbedding's
        self,
        model_name: str = DEFAULT_MODEL,
        tokenizer_name: str | None = _DEPRECATED,
        pooling: str = _DEPRECATED,
        max_length: int | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        normalize: bool = True,  # noqa: FBT001, FBT002 - as above
        model: Any | None = _DEPRECATED,
        tokenizer: Any | None = _DEPRECATED,
        embed_batch_size: int = MOST_TEXTS,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,  # noqa: FBT001, FBT002 - as above
        device: str | None = None,
        callback_manager: CallbackManager | None = None,
        parallel_process: bool = False,  # noqa: FBT001, FBT002 - as above
        target_devices: list[str] | None = None,
        show_progress_bar: bool = False,  # noqa: FBT001, FBT002 - as above
        **kwargs: Any,
    ) -> None:
        _refuse_deprecated(tokenizer_name=tokenizer_name, pooling=pooling, model=model, tokenizer=tokenizer)
        if model_name is None:
            msg = "model_name must be given: a folder, a hub id, or the name of a packaged model"
            raise ValueError(msg)
        max_length = max_length or None
        fields, token = self._taken(kwargs)
        fields |= {
            "model_name": str(model_name),
            "max_length": max_length or 1,
            "query_instruction": query_instruction,
            "text_instruction": text_instruction,
            "normalize": normalize,
            "embed_batch_size": embed_batch_size,
            "cache_folder": str(cache_folder) if cache_folder else None,
            "trust_remote_code": bool(trust_remote_code),
            "device": device_name(device),
            "parallel_process": parallel_process,
            "target_devices": None if target_devices is None else [device_name(each) or "" for each in target_devices],
            "show_progress_bar": show_progress_bar,
        }
        super().__init__(callback_manager=callback_manager or CallbackManager([]), **fields)
        self._max_length = max_length
        self._open(token)

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillEmbedding"

    @classmethod
    def _taken(cls, kwargs: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The fields among further keywords, without secrets, and the token for the hub; the other keywords are warned of."""
        given, token = without_secrets(kwargs)
        if "processor_kwargs" in given:  # sentence-transformers' newer name for it
            given["tokenizer_kwargs"] = given.pop("processor_kwargs")
        for name in ("model_kwargs", "tokenizer_kwargs", "config_kwargs", "load_kwargs"):
            given[name], inner = without_secrets(given.get(name))
            token = token or inner
        return known(given, cls.model_fields, cls.__name__, level=3), token

    def _open(self, token: str | None) -> None:
        """Load the model, or take the one that another instance has loaded."""
        targets: Sequence[str | None] = (self.parallel_process and self.target_devices) or [self.device]
        words = {name: getattr(self, name) for name in _OF_SENTENCE_TRANSFORMERS}
        keywords = words | {"device": targets[0] or None, "max_length": self._max_length}
        meant = meaning(keywords, self.load_kwargs, type(self).__name__)
        several = (f"of the devices {', '.join(map(str, targets))} the first is used",) if len({*targets}) > 1 else ()
        for remark in (*meant.remarks, *several):
            warnings.warn(remark, stacklevel=3)
        model = opened(self.model_name, meant, token, "sentence-transformers")
        instructions: dict[Side, str | None] = {"query": self.query_instruction, "document": self.text_instruction}
        self._prompts = {
            side: prompt_of(side, instruction, self.prompt_policy, self.model_name)
            for side, instruction in instructions.items()
        }
        names = {"query": self._prompts["query"], "text": self._prompts["document"]}
        self._model = Encoder(model, names, self.truncate_dim, self.similarity_fn_name)
        self._device = model.info.device
        self._parallel_process, self._target_devices = self.parallel_process, self.target_devices
        self.max_length = self._model.max_seq_length
        self._tell()

    def _tell(self) -> None:
        """Say once what runs, and what stands before texts."""
        info = self._model.model.info
        _log.info(
            "%s runs on %s, on %s in %s (asked for: %s)",
            self.model_name,
            info.runtime,
            info.device,
            info.dtype,
            self.backend,
        )
        for side, prompt in self._prompts.items():
            log_prompt(_log, self._model.model, side, prompt)

    def _asked(self, side: Side) -> dict[str, Any]:
        scaled = embed_options(self._model.model.info, normalize=self.normalize, truncate_dim=self.truncate_dim)
        return {**scaled, **self._prompts[side]}

    def _embed(self, texts: list[str], side: Side) -> list[Embedding]:
        vectors: list[Embedding] = []
        step = _TEXTS_A_STEP if self.show_progress_bar else max(len(texts), 1)
        for start in get_tqdm_iterable(range(0, len(texts), step), self.show_progress_bar, "Embedding"):
            made = self._model.model.embed(texts[start : start + step], **self._asked(side))
            vectors += made[:, : self.truncate_dim].tolist()
        return vectors

    async def _aembed(self, texts: list[str], side: Side) -> list[Embedding]:
        made = await self._model.model.aembed(texts, **self._asked(side))
        vectors: list[Embedding] = made[:, : self.truncate_dim].tolist()
        return vectors

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        raise NotImplementedError(_NO_IMAGES)

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        raise NotImplementedError(_NO_IMAGES)

    @field_serializer("max_length")
    def _as_given(self, _: int) -> int | None:
        """The length that was asked for, so that None stays the model's own."""
        return self._max_length

    def __getstate__(self) -> dict[str, Any]:
        """The arguments, and what a subclass keeps; the model is loaded, or shared, where they are unpickled."""
        state = state_of(self, TextmillEmbedding, _NOT_PICKLED)
        state["__dict__"]["max_length"] = self._max_length
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, TextmillEmbedding, state)


_NO_IMAGES = "textmill embeds texts only; for images take another embedding model, such as ClipEmbedding"


def _refuse_deprecated(**given: Any) -> None:
    for name, value in given.items():
        if not (isinstance(value, str) and value == _DEPRECATED):
            msg = f"{name} is deprecated, as it is in HuggingFaceEmbedding; leave it out"
            raise ValueError(msg)
