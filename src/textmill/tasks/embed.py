"""The embed task: texts and options become rows, rows become vectors, vectors are cut and normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Embeddings, EmbedOptions, Input
from textmill.errors import InvalidInput
from textmill.runtimes.runtime import Row
from textmill.tasks.line import Done, Prepared
from textmill.tasks.texts import TextProfile, Texts


@dataclass(frozen=True, slots=True)
class EmbedProfile:
    """The little that the task knows of a model.

    ``include_prompt`` false leaves prompts out of pooling. ``default_dimensions`` of None keeps all ``dimensions``.
    ``adapters`` are the model's, in the order that rows count them; ``default_adapter`` is one of them or None.
    """

    dimensions: int
    include_prompt: bool = True
    default_dimensions: int | None = None
    adapters: tuple[str, ...] = ()
    default_adapter: str | None = None


class Embedder:
    """Makes calls that embed. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, profile: EmbedProfile) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._profile = profile

    def call(self, inputs: Sequence[Input], options: EmbedOptions) -> EmbedCall:
        """A call for these inputs; see `textmill.contract.Embed`."""
        return EmbedCall(self._tokenizer, self._texts, self._profile, inputs, options)


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
        self._texts = Texts(tokenizer, texts, inputs, options)
        self._normalize = options.normalize
        self._dimensions = options.dimensions
        if self._dimensions is None:
            self._dimensions = profile.default_dimensions
        elif not 1 <= self._dimensions <= profile.dimensions:
            msg = f"dimensions is {self._dimensions}; this model gives 1 to {profile.dimensions}"
            raise InvalidInput(msg, param="dimensions")
        skips = bool(self._texts.prompt) and not profile.include_prompt
        self._prompt_tokens = tokenizer.prompt_tokens(self._texts.prompt) if skips else 0
        self._adapter = _adapter(profile, options)

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input."""
        return [
            Prepared(
                Row(
                    item.ids,
                    prompt_tokens=self._texts.prompt_tokens(item, self._prompt_tokens),
                    adapter=self._adapter,
                ),
                index,
                item.truncated,
            )
            for index, item in enumerate(self._texts.encode(inputs, first), first)
        ]

    def finish(self, done: Done) -> Embeddings:
        """The vectors, cut and normalised."""
        return Embeddings(
            vectors=self._cut(done.outputs["dense"]),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
        )

    def _cut(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Cut to the first dimensions, then scale to unit length; a zero vector stays zero."""
        if self._dimensions is not None:
            vectors = np.ascontiguousarray(vectors[:, : self._dimensions])
        return normalized(vectors) if self._normalize else vectors


def normalized(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The vectors (n, d) at unit length; a zero vector stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))[:, None]
    return scaled


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
