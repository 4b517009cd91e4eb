"""A model that is an object of the caller's own: its verbs behind those of every model, in threads of its own."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Generic, NoReturn, Self, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from textmill.config.option import nearest
from textmill.contract import (
    USUAL,
    Answered,
    Classifications,
    ClassifyOptions,
    EmbedDefaults,
    Embeddings,
    EmbedOptions,
    Input,
    Kind,
    ModelInfo,
    Pair,
    Ranked,
    RerankOptions,
    Scores,
    Scoring,
    Task,
    Timings,
)
from textmill.errors import ConfigInvalid, InvalidInput, WrongTask
from textmill.providers.custom_object import CustomObject, Floats, fitted
from textmill.providers.refusing import RefusesAll
from textmill.providers.worker import Worker
from textmill.tasks.best import check_top, labelled, ranked
from textmill.tasks.inputs import as_inputs, as_inputs_or_pairs, as_query, as_texts
from textmill.tasks.norms import EUCLID, NONE, scaled
from textmill.tasks.sides import sided
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing

_BATCH = 256
_WAITING = 1 << 16
"""Inputs that wait at most; more are refused as too many."""
_VERBS_OF_OTHERS = frozenset(
    f"{prefix}{verb}"
    for prefix in ("", "a")
    for verb in (
        *("embed_chunks", "embed_sparse", "embed_multi", "embed_hybrid", "embed_tokens"),
        *("classify_tokens", "classify_zero_shot"),
    )
) | {"tokenize", "decode"}
_PROBE = "The mill turns."


_KINDS: Mapping[str, type[Any]] = {
    "dimensions": int,
    "labels": Sequence,
    "prompts": Mapping,
    "default_prompt": str,
    "max_tokens": int,
    "batch_size": int,
    "threads": int,
}
"""What the fields of `Custom` are."""

_A = TypeVar("_A", bound=Answered)
_Works = Sequence[tuple[Callable[[], Floats], int]]


class _Call(Generic[_A]):
    """A call on its way: its batches one after the other, so that others have their turn, and what becomes of their arrays."""

    def __init__(self, worker: Worker, works: _Works, finish: Callable[[Sequence[Floats], float], _A]) -> None:
        self._worker = worker
        self._works = works
        self._finish = finish

    def now(self) -> _A:
        """The answer; blocks."""
        began = time.perf_counter()
        parts = [self._worker.submit(work, inputs).result() for work, inputs in self._works]
        return self._finish(parts, time.perf_counter() - began)

    async def later(self) -> _A:
        """The answer; cancelling it withdraws what has not begun."""
        began = time.perf_counter()
        parts = [await asyncio.wrap_future(self._worker.submit(work, inputs)) for work, inputs in self._works]
        return self._finish(parts, time.perf_counter() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """What is said of an object beside its methods; None is what its attributes of these names say, or else what stands here.

    ``dimensions`` is the length of its vectors: by default one text is embedded to learn it. ``labels`` are those of ``classify``, in
    the order of its scores. ``prompts`` are texts by name, ``default_prompt`` is the name of one of them. Its methods are called by
    one thread, with at most ``batch_size`` inputs (256); ``threads`` lets them be called by so many at once, which they must be able
    to bear.
    """

    dimensions: int | None = None
    labels: Sequence[str] | None = None
    prompts: Mapping[str, str] | None = None
    default_prompt: str | None = None
    max_tokens: int | None = None
    batch_size: int | None = None
    threads: int | None = None


class CustomModel(RefusesAll):
    """A model over an object; made by `textmill.custom`, or for a model file whose backend is ``python``.

    It has the verbs of `textmill.Model` that the object has, and raises WrongTask for the others. Thread-safe: calls from any
    threads and event loops wait for each other as the object needs it, and large ones make way for others between two batches.
    """

    def __init__(self, given: CustomObject, name: str, custom: Custom, defaults: EmbedDefaults = USUAL) -> None:
        own = _settled(given, custom)
        self._object = given
        self._prompts = dict(own.prompts or {})
        self._batch = own.batch_size or _BATCH
        self._worker = Worker(name, own.threads or 1, _WAITING)
        self._profile = TextProfile(self._prompts, self._prompts.get(own.default_prompt or "", ""), own.max_tokens or 0)
        self.info = _info(given, name, own, defaults)
        if "embed" in given.verbs and own.dimensions is None:
            self._learn()

    @property
    def ready(self) -> bool:
        """Whether it is not closed."""
        return self._worker.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Batches that wait, and their inputs."""
        return self._worker.waiting

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        kind: Kind | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> npt.NDArray[np.float32]:
        """Embed texts, with the arguments and the errors of `textmill.Model.embed`: float32 (texts, dimensions). Blocks.

        ``kind`` and ``prompt`` are given to a method that takes them; otherwise the prompt is put in front of each text. Raises
        ForwardFailed where the object raises something, or gives anything but finite numbers (texts, dimensions).
        """
        options = EmbedOptions(
            kind=kind, prompt=prompt, prompt_name=prompt_name, dimensions=dimensions, normalize=normalize
        )
        self._need("embed")
        inputs = as_inputs(texts)
        call = self._embedding(inputs, options) if inputs else None
        return np.empty((0, self._width(options)), np.float32) if call is None else call.now().vectors

    async def aembed(
        self,
        texts: str | Iterable[str],
        *,
        kind: Kind | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
    ) -> npt.NDArray[np.float32]:
        """`embed` for event loops. Cancelling it withdraws what has not begun."""
        options = EmbedOptions(
            kind=kind, prompt=prompt, prompt_name=prompt_name, dimensions=dimensions, normalize=normalize
        )
        self._need("embed")
        inputs = as_inputs(texts)
        return (
            (await self.embed_inputs(inputs, options)).vectors
            if inputs
            else np.empty((0, self._width(options)), np.float32)
        )

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The whole answer of `embed`, for servers; tokens count as 0, as nobody knows them."""
        self._need("embed")
        return await self._embedding(inputs, options).later()

    def rerank(
        self, query: str, texts: Iterable[str], *, top: int | None = None, scoring: Scoring | None = None
    ) -> list[Ranked]:
        """Rank texts, with the arguments and the errors of `textmill.Model.rerank`, by the object's own scores. Blocks."""
        check_top(top)
        self._need("rerank")
        query, inputs = as_query(query), as_texts(texts)
        return ranked(self._ranking(query, inputs, RerankOptions(scoring=scoring)).now(), inputs, top) if inputs else []

    async def arerank(
        self, query: str, texts: Iterable[str], *, top: int | None = None, scoring: Scoring | None = None
    ) -> list[Ranked]:
        """`rerank` for event loops."""
        check_top(top)
        self._need("rerank")
        query, inputs = as_query(query), as_texts(texts)
        options = RerankOptions(scoring=scoring)
        return ranked(await self.rerank_inputs(query, inputs, options), inputs, top) if inputs else []

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The whole answer of `rerank`, in the order of the texts, for servers."""
        self._need("rerank")
        return await self._ranking(query, texts, options).later()

    def classify(
        self, texts: str | Iterable[Input | Pair], *, scoring: Scoring | None = None
    ) -> list[dict[str, float]]:
        """Score the labels for each text, with the arguments and the errors of `textmill.Model.classify`, as the object does. Blocks.

        Pairs of texts reach the object as tuples.
        """
        self._need("classify")
        inputs = as_inputs_or_pairs(texts)
        return labelled(self._classifying(inputs, ClassifyOptions(scoring=scoring)).now()) if inputs else []

    async def aclassify(
        self, texts: str | Iterable[Input | Pair], *, scoring: Scoring | None = None
    ) -> list[dict[str, float]]:
        """`classify` for event loops."""
        self._need("classify")
        inputs = as_inputs_or_pairs(texts)
        options = ClassifyOptions(scoring=scoring)
        return labelled(await self.classify_inputs(inputs, options)) if inputs else []

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """The whole answer of `classify`, for servers."""
        self._need("classify")
        return await self._classifying(inputs, options).later()

    def close(self, drain_s: float = 10.0) -> None:
        """Do what is under way for at most ``drain_s`` seconds, fail the rest with Unavailable, call the object's ``close``; blocks."""
        was = self._worker.ready
        self._worker.close(drain_s)
        if was:
            self._object.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """The verbs that no such model has."""
        if name not in _VERBS_OF_OTHERS:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)

        def refused(*_: object, **__: object) -> NoReturn:
            self._refuse(name.removeprefix("a"))

        return refused

    def _learn(self) -> None:
        """Take the width of a vector as that of all; what the object raises is raised."""
        try:
            width = (
                self._worker.submit(lambda: self._object.embed([_PROBE], {"kind": None, "prompt": ""}), 1)
                .result()
                .shape[1]
            )
        except BaseException:
            self._worker.close(0)
            raise
        self.info = replace(self.info, dimensions=width)

    def _embedding(self, inputs: Sequence[Input], options: EmbedOptions) -> _Call[Embeddings]:
        refuse_nothing(inputs)
        _refuse_own(self.info.name, options)
        width, texts = self._width(options), [_text(item, index) for index, item in enumerate(inputs)]
        prompt = prompt_of(self._profile, sided(options, self._prompts))
        keywords = {"kind": options.kind, "prompt": prompt}
        if not self._object.takes("embed", "prompt"):
            texts = [prompt + text for text in texts]

        def finish(parts: Sequence[Floats], took: float) -> Embeddings:
            made = self._joined("embed", parts, self.info.dimensions, "its vectors have {} values")
            return Embeddings(vectors=scaled(made[:, :width], self._norm(options)), **_counts(inputs, took))

        return _Call(
            self._worker,
            [(partial(self._object.embed, part, keywords), len(part)) for part in self._parts(texts)],
            finish,
        )

    def _ranking(self, query: str, texts: Sequence[str], options: RerankOptions) -> _Call[Scores]:
        refuse_nothing(texts)
        _refuse_scoring(self.info.name, options.scoring)
        if options.instruction is not None:
            msg = f"{self.info.name} takes no instruction; leave it out"
            raise InvalidInput(msg, param="instruction")
        keywords = {"prompt": prompt_of(self._profile, options)}
        return _Call(
            self._worker,
            [(partial(self._object.rerank, query, part, keywords), len(part)) for part in self._parts(texts)],
            lambda parts, took: Scores(scores=np.concatenate(parts), **_counts(texts, took)),
        )

    def _classifying(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> _Call[Classifications]:
        refuse_nothing(inputs)
        _refuse_scoring(self.info.name, options.scoring)
        given = [item if isinstance(item, tuple) else _text(item, index) for index, item in enumerate(inputs)]
        labels, keywords = self.info.labels, {"prompt": prompt_of(self._profile, options)}

        def finish(parts: Sequence[Floats], took: float) -> Classifications:
            scores = self._joined("classify", parts, len(labels), "it has {} labels")
            return Classifications(labels=labels, scores=scores, **_counts(inputs, took))

        return _Call(
            self._worker,
            [(partial(self._object.classify, part, keywords), len(part)) for part in self._parts(given)],
            finish,
        )

    def _joined(self, verb: str, parts: Sequence[Floats], width: int, wanted: str) -> Floats:
        """The arrays of all batches as one. Raises ForwardFailed for one whose rows have another width."""
        for part in parts:
            if part.shape[1] != width:
                failed = self._object.failed(
                    verb, f"gave {part.shape[1]} values for each input, and {wanted.format(width)}"
                )
                raise failed
        return np.concatenate(parts)

    def _parts(self, inputs: Sequence[Any]) -> Iterator[Sequence[Any]]:
        return (inputs[first : first + self._batch] for first in range(0, len(inputs), self._batch))

    def _width(self, options: EmbedOptions) -> int:
        most = self.info.dimensions
        if options.dimensions is not None and not 1 <= options.dimensions <= most:
            msg = f"dimensions is {options.dimensions}; this model gives 1 to {most}"
            raise InvalidInput(msg, param="dimensions")
        return options.dimensions or most

    def _norm(self, options: EmbedOptions) -> int:
        if options.normalize is None:
            return self.info.defaults.norm
        return EUCLID if options.normalize else NONE


class _Counted(TypedDict):
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]
    timings: Timings


def _counts(inputs: Sequence[object], took: float) -> _Counted:
    return {"tokens": (0,) * len(inputs), "truncated": (False,) * len(inputs), "timings": Timings(inference=took)}


def custom(given: object, name: str | None = None, **said: Any) -> CustomModel:
    """A model of an object of your own, which has ``embed(texts)``, ``rerank(query, texts)`` or ``classify(texts)``.

    Args:
        given: the object, or a function that embeds. ``embed`` gives numbers (texts, dimensions), ``rerank`` a score for each text,
            ``classify`` (texts, labels), as an array, or lists. They may be coroutines, and may take the keywords ``prompt``, and ``embed``
            ``kind``, which is "query", "document" or None.
        name: what the model is called; by default its class.
        said: the fields of `Custom`: ``dimensions``, ``labels``, ``prompts``, ``default_prompt``, ``max_tokens``, ``batch_size``, ``threads``. What
            is not given is what the object's attributes of these names say.

    Returns:
        A `CustomModel`, whose verbs have the arguments of `textmill.Model`'s. Close it, or use it as a context manager.

    Raises:
        ConfigInvalid: the object has no such method, or what is said of it cannot be. ForwardFailed: it failed at the text that is
            embedded to learn ``dimensions``.

    """
    known = {field.name for field in fields(Custom)}
    if unknown := set(said) - known:
        msg = f"custom() has no option {min(unknown)!r}{nearest(min(unknown), known)}"
        raise ConfigInvalid(msg)
    kind = given if isinstance(given, type) or hasattr(given, "__qualname__") else type(given)
    title = str(getattr(kind, "__qualname__", type(given).__name__))
    return CustomModel(CustomObject(given, title), name or title.rpartition(".")[2], Custom(**said))


def _settled(given: CustomObject, custom: Custom) -> Custom:
    """What is said of an object: by who made the model of it, else by its own attributes. Raises ConfigInvalid for what cannot be."""
    said: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        value = getattr(custom, name)
        said[name] = given.said(name, kind) if value is None else fitted(value, kind, f"{name} of {given.title} is")
        if kind is int and said[name] is not None and said[name] < 1:
            msg = f"{name} of {given.title} is {said[name]}; it must be at least 1"
            raise ConfigInvalid(msg)
    own = Custom(**said)
    prompts = own.prompts or {}
    for name, texts in (("labels", own.labels or ()), ("prompts", (*prompts, *prompts.values()))):
        if not all(isinstance(each, str) for each in texts):
            msg = f"{name} of {given.title} must be texts"
            raise ConfigInvalid(msg)
    if "classify" in given.verbs and (not own.labels or isinstance(own.labels, str)):
        msg = f"{given.title} classifies, and its labels are not known; give it an attribute labels: their names, in the order of its scores"
        raise ConfigInvalid(msg)
    if own.default_prompt is not None and own.default_prompt not in (own.prompts or {}):
        msg = f"default_prompt of {given.title} is {own.default_prompt!r}, and its prompts are {', '.join(own.prompts or ()) or 'none'}"
        raise ConfigInvalid(msg)
    return own


def _info(given: CustomObject, name: str, own: Custom, defaults: EmbedDefaults) -> ModelInfo:
    """What is known of the model. Its fingerprint is of names, or what the object's attribute of that name says."""
    facts = f"python {given.title} {given.facts} {own.dimensions or ''} {sorted((own.prompts or {}).items())} {defaults.norm}"
    tasks: tuple[Task, ...] = given.verbs
    return ModelInfo(
        name=name,
        aliases=(),
        source=given.title,
        revision=None,
        architecture="python",
        tasks=tasks,
        labels=tuple(own.labels or ()) if "classify" in tasks else (),
        pooling="",
        dimensions=own.dimensions or 0,
        max_tokens=own.max_tokens or 0,
        vocabulary=0,
        prompts=tuple(own.prompts or ()),
        default_prompt=own.default_prompt,
        runtime="python",
        device="unknown",
        dtype="unknown",
        int8_cosine=None,
        threads=own.threads or 1,
        batch_tokens=0,
        batch_rows=own.batch_size or _BATCH,
        tokenization_workers=0,
        fingerprint=given.said("fingerprint", str) or hashlib.sha256(facts.encode()).hexdigest()[:16],
        created=int(time.time()),
        defaults=defaults,
    )


def _text(item: object, index: int) -> str:
    if not isinstance(item, str):
        msg = f"input {index} has token ids, and this model takes texts only"
        raise InvalidInput(msg, index=index)
    return item


def _refuse_scoring(name: str, scoring: Scoring | None) -> None:
    if scoring not in (None, "raw"):
        msg = f"{name} gives scores of its own, which cannot become {scoring}; leave the scoring out"
        raise InvalidInput(msg, param="scoring")


def _refuse_own(name: str, options: EmbedOptions) -> None:
    """Raise InvalidInput for what only models have that textmill runs itself."""
    if options.adapter is not None:
        msg = f"{name} has no adapters"
        raise InvalidInput(msg, param="adapter")
    if options.chunking is not None:
        msg = f"{name} is an object of Python, whose texts cannot be parted into chunks; send them in parts"
        raise WrongTask(msg)
    if options.pooling is not None or options.half_life is not None:
        msg = f"{name} pools by itself; leave pooling out"
        raise InvalidInput(msg, param="pooling")
