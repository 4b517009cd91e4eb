"""The classify_tokens task: labels of tokens become labelled stretches of the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Entities, Entity, TextOptions
from textmill.runtimes.runtime import Row
from textmill.tasks.line import Done, Prepared
from textmill.tasks.scores import softmax
from textmill.tasks.texts import TextProfile, Texts

_OUTSIDE = "O"


class TokenClassifier:
    """Makes calls that find entities. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, labels: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._labels = labels

    def call(self, inputs: Sequence[str], options: TextOptions) -> EntitiesCall:
        """A call for these texts; see `textmill.contract.ClassifyTokens`."""
        return EntitiesCall(inputs, Texts(self._tokenizer, self._texts, inputs, options), self._labels)


class EntitiesCall:
    """One call."""

    def __init__(self, inputs: Sequence[str], texts: Texts, labels: tuple[str, ...]) -> None:
        self.inputs = inputs
        self._texts = texts
        self._labels = labels

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each text; it keeps where the tokens stand."""
        spans = enumerate(self._texts.spans(inputs, first), first)
        return [
            Prepared(Row(item.ids, outputs=("token_logits",)), index, item.truncated, places)
            for index, (item, places) in spans
        ]

    def finish(self, done: Done) -> Entities:
        """The entities of each text, in their order in it."""
        rows = zip(done.prepared, done.outputs["token_logits"], strict=True)
        return Entities(
            entities=tuple(
                tuple(self._entities(self.inputs[each.index], softmax(logits), each.kept)) for each, logits in rows
            ),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
        )

    def _entities(self, text: str, scores: npt.NDArray[np.float32], places: npt.NDArray[np.int32]) -> Iterator[Entity]:
        """Neighbouring tokens of one label are one entity; a label that begins with ``B-`` starts another.

        As transformers' TokenClassificationPipeline with the aggregation "simple". A prompt's tokens have no entities.
        """
        prompt = len(self._texts.prompt)
        own = np.flatnonzero(places[:, 0] >= prompt)
        best = scores[own].argmax(axis=-1)
        tags = [_tag(self._labels[label]) for label in best]
        starts = [at for at, tag in enumerate(tags) if at == 0 or tag[0] or tag[1] != tags[at - 1][1]]
        for start, end in pairwise([*starts, len(tags)]):
            if tags[start][1] == _OUTSIDE:
                continue
            begin, stop = int(places[own[start], 0]) - prompt, int(places[own[end - 1], 1]) - prompt
            score = scores[own[start:end], best[start:end]].mean(dtype=np.float64)
            yield Entity(tags[start][1], float(score), text[begin:stop], begin, stop)


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and the entity's own label."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
