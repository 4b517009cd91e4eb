"""The classify task: texts or pairs of texts become scores of the model's labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from textmill.checkpoint.pairs import Pairs
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Classifications, ClassifyOptions, Input, Pair, Scoring
from textmill.runtimes.runtime import Row
from textmill.tasks.line import Done, Prepared
from textmill.tasks.scores import scored
from textmill.tasks.texts import TextProfile, Texts


class Classifier:
    """Makes calls that classify. Thread-safe. ``scoring`` is the model's own."""

    def __init__(
        self, tokenizer: Tokenizer, pairs: Pairs, texts: TextProfile, labels: tuple[str, ...], scoring: Scoring
    ) -> None:
        self._tokenizer = tokenizer
        self._pairs = pairs
        self._texts = texts
        self._scoring = scoring
        self.labels = labels

    def call(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> ClassifyCall:
        """A call for these inputs; see `textmill.contract.Classify`."""
        texts = Texts(self._tokenizer, self._texts, inputs, options)
        return ClassifyCall(inputs, texts, self._pairs, self.labels, options.scoring or self._scoring)


class ClassifyCall:
    """The options of one call, checked."""

    def __init__(
        self, inputs: Sequence[Input | Pair], texts: Texts, pairs: Pairs, labels: tuple[str, ...], scoring: Scoring
    ) -> None:
        self.inputs = inputs
        self._texts = texts
        self._pairs = pairs
        self._labels = labels
        self._scoring = scoring

    def prepare(self, inputs: Sequence[Input | Pair], first: int) -> list[Prepared]:
        """A row for each input."""
        if not any(map(is_pair, inputs)):
            return self._singles(cast("Sequence[Input]", inputs), first)
        return [
            self._pair(cast("Pair", item), index)
            if is_pair(item)
            else self._singles(cast("Sequence[Input]", [item]), index)[0]
            for index, item in enumerate(inputs, first)
        ]

    def finish(self, done: Done) -> Classifications:
        """The scores of all labels, in the labels' order."""
        return Classifications(
            labels=self._labels,
            scores=scored(done.outputs["logits"], self._scoring),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
            cached=done.cached,
        )

    def _singles(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        encoded = enumerate(self._texts.encode(inputs, first), first)
        return [Prepared(Row(item.ids, outputs=("logits",)), index, item.truncated) for index, item in encoded]

    def _pair(self, pair: Pair, index: int) -> Prepared:
        """A pair; a prompt goes in front of its first text, as with CrossEncoder."""
        first, second = (self._texts.bodies([text], index)[0] for text in (self._texts.prompt + pair[0], pair[1]))
        row = self._pairs.join(
            first, second, "longest_first", truncate=self._texts.truncate, side=self._texts.side, index=index
        )
        return Prepared(Row(row.ids, row.types, outputs=("logits",)), index, row.truncated)


def is_pair(item: object) -> bool:
    """Whether an input is a pair of texts: a tuple of them, which a list of token ids never is."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)  # noqa: PLR2004 - a pair
