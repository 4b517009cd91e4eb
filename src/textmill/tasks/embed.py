"""The embed task: texts and options become rows, rows become vectors, vectors are cut and normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from textmill.arch.heads import Output
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import USUAL, EmbedDefaults, Embeddings, EmbedOptions, Input, Kind
from textmill.errors import InvalidInput, WrongTask
from textmill.runtimes.runtime import Row
from textmill.tasks.chunker import Chunker
from textmill.tasks.line import Done, Prepared
from textmill.tasks.norms import EUCLID, NONE, scaled
from textmill.tasks.sides import sided
from textmill.tasks.states import StatePooling, state_pooling
from textmill.tasks.texts import TextProfile, Texts, prompt_of


@dataclass(frozen=True, slots=True)
class EmbedProfile:
    """The little that the task knows of a model.

    ``include_prompt`` false leaves prompts out of pooling. ``default_dimensions`` of None keeps all ``dimensions``.
    ``adapters`` are the model's, in the order that rows count them; ``default_adapter`` is one of them or None. ``features`` is the
    width of a token's state, 0 where the model gives none.
    """

    dimensions: int
    include_prompt: bool = True
    default_dimensions: int | None = None
    adapters: tuple[str, ...] = ()
    default_adapter: str | None = None
    features: int = 0
    defaults: EmbedDefaults = USUAL


class Embedder:
    """Makes calls that embed. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, profile: EmbedProfile) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._profile = profile

    def call(self, inputs: Sequence[Input], options: EmbedOptions) -> EmbedCall:
        """A call for these inputs; see `textmill.contract.Embed`."""
        return EmbedCall(self._tokenizer, self._texts, self._profile, inputs, sided(options, self._texts.prompts))

    def prompt(self, kind: Kind | None) -> str:
        """What stands in front of texts of a side where a call names no prompt; "" for nothing."""
        return prompt_of(self._texts, sided(EmbedOptions(kind=kind), self._texts.prompts))

    def states(self, options: EmbedOptions) -> int:
        """How wide the token states are that a call pools by itself; 0 where the model pools. Raises as `call`."""
        return self._profile.features if _pooling(self._profile, options) is not None else 0

    def nothing(self, options: EmbedOptions) -> npt.NDArray[np.float32]:
        """The vectors of no inputs, (0, dimensions)."""
        return np.empty((0, _width(self._profile, options)), np.float32)


class EmbedCall:
    """The options of one call, checked."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: TextProfile,
        profile: EmbedProfile,
        inputs: Sequence[Input],
        options: EmbedOptions,
    ) -> None:
        self.inputs = inputs
        # What is parted is not cut, whatever else the options say.
        whole = options if options.chunking is None else replace(options, truncate=True)
        self._texts = Texts(tokenizer, texts, inputs, whole)
        self._norm = profile.defaults.norm
        if options.normalize is not None:
            self._norm = EUCLID if options.normalize else NONE
        self._pooling = _pooling(profile, options)
        self._outputs: tuple[Output, ...] = ("dense",) if self._pooling is None else ("tokens",)
        self._dimensions = _width(profile, options)
        skips = bool(self._texts.prompt) and not profile.include_prompt
        self._prompt_tokens = tokenizer.prompt_tokens(self._texts.prompt) if skips else 0
        self._adapter = _adapter(profile, options)
        self._chunker = None
        if options.chunking is not None:
            self._chunker = Chunker(tokenizer, self._texts.prompt, texts.max_tokens, options.chunking)

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input."""
        rows = []
        for index, item in enumerate(self._texts.encode(inputs, first), first):
            text = inputs[index - first]
            if self._chunker is not None and item.truncated:
                if not isinstance(text, str):
                    msg = (
                        f"input {index} has {len(text)} token ids; only texts are parted into chunks: send it as a text"
                    )
                    raise InvalidInput(msg, index=index)
                pieces = self._chunker.pieces(text, index)
                rows += [self.row(piece.ids, index, max(1, piece.last - piece.first)) for piece in pieces]
            else:
                row = Row(
                    item.ids,
                    prompt_tokens=self._texts.prompt_tokens(item, self._prompt_tokens),
                    adapter=self._adapter,
                    outputs=self._outputs,
                )
                rows.append(Prepared(row, index, item.truncated, len(item.ids)))
        return rows

    def finish(self, done: Done) -> Embeddings:
        """The vectors, those of chunks joined, cut and normalised."""
        vectors = self._pooled(done)
        tokens, truncated = done.tokens, done.truncated
        if len(done.prepared) != len(self.inputs):
            owners = np.array([each.index for each in done.prepared])
            weights = np.array([each.kept for each in done.prepared], dtype=np.float32)
            vectors = weighted_means(vectors, weights, owners)
            tokens = tuple(np.bincount(owners, done.tokens).astype(int).tolist())
            truncated = tuple((np.bincount(owners, done.truncated) > 0).tolist())
        return Embeddings(
            vectors=self.shaped(vectors), tokens=tokens, truncated=truncated, timings=done.timings, cached=done.cached
        )

    def row(self, ids: npt.NDArray[np.int32], index: int, kept: object) -> Prepared:
        """A row of a part of an input, behind the whole prompt."""
        prompt_tokens = max(0, min(self._prompt_tokens, len(ids) - 1))
        return Prepared(Row(ids, prompt_tokens=prompt_tokens, adapter=self._adapter), index, truncated=False, kept=kept)

    def shaped(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Vectors cut to the first dimensions, then scaled; a zero vector stays zero."""
        if self._dimensions < vectors.shape[1]:
            vectors = np.ascontiguousarray(vectors[:, : self._dimensions])
        return scaled(vectors, self._norm)

    def _pooled(self, done: Done) -> npt.NDArray[np.float32]:
        """A vector for each row, from all its states but those of a prompt that does not count where the model does not pool."""
        if self._pooling is None:
            dense: npt.NDArray[np.float32] = done.outputs["dense"]
            return dense
        rows = zip(done.prepared, done.outputs["tokens"], strict=True)
        return np.stack([self._pooling.pool(states[each.row.prompt_tokens :]) for each, states in rows])


def weighted_means(
    vectors: npt.NDArray[np.float32], weights: npt.NDArray[np.float32], owners: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """The mean of each owner's vectors, weighted; ``owners`` ascend from 0 without gaps."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    sums = np.add.reduceat(vectors * weights[:, None], starts)
    return np.asarray(sums / np.add.reduceat(weights, starts)[:, None], np.float32)


def _width(profile: EmbedProfile, options: EmbedOptions) -> int:
    """The width of a call's vectors; raises InvalidInput for one that the model does not give."""
    most = profile.dimensions if _pooling(profile, options) is None else profile.features
    if options.dimensions is None:
        return min(profile.default_dimensions or most, most)
    if not 1 <= options.dimensions <= most:
        msg = f"dimensions is {options.dimensions}; this model gives 1 to {most}"
        raise InvalidInput(msg, param="dimensions")
    return options.dimensions


def _pooling(profile: EmbedProfile, options: EmbedOptions) -> StatePooling | None:
    """`state_pooling`; raises WrongTask where there are no states to pool."""
    pooling = state_pooling(options, profile.defaults)
    if pooling is not None and not profile.features:
        msg = f"the model gives no states of tokens to pool by {pooling.mode!r}; its own pooling is all there is"
        raise WrongTask(msg, param="pooling")
    return pooling


def _adapter(profile: EmbedProfile, options: EmbedOptions) -> int:
    """Which adapter the rows of a call run with; 0 is none."""
    name = options.adapter
    if name is None:
        name = options.prompt_name if options.prompt_name in profile.adapters else profile.default_adapter
    if name is None:
        return 0
    if name not in profile.adapters:
        known = ", ".join(profile.adapters) or "none"
        msg = f"the model has no adapter named {name!r}; its adapters: {known}"
        raise InvalidInput(msg, param="adapter")
    return profile.adapters.index(name) + 1
