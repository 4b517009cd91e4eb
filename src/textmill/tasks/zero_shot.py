"""The classify_zero_shot task: the caller's labels as hypotheses for a model that judges whether a text entails them.

Yin et al., 2019, arXiv:1909.00161; computed as transformers' ZeroShotClassificationPipeline does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.pairs import Ids, Pairs
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Classifications, ZeroShotOptions
from textmill.errors import EmptyInput, InvalidInput
from textmill.runtimes.runtime import Row
from textmill.tasks.inputs import blamed
from textmill.tasks.line import Done, Prepared
from textmill.tasks.scores import softmax
from textmill.tasks.texts import TextProfile, Texts


class ZeroShotClassifier:
    """Makes calls that classify by labels of the caller's. Thread-safe.

    ``judged`` are the model's scores for a contradiction and for an entailment; see `entailment`.
    """

    def __init__(self, tokenizer: Tokenizer, pairs: Pairs, texts: TextProfile, judged: tuple[int, int]) -> None:
        self._tokenizer = tokenizer
        self._pairs = pairs
        self._texts = texts
        self._judged = judged

    def call(self, inputs: Sequence[str], labels: Sequence[str], options: ZeroShotOptions) -> ZeroShotCall:
        """A call for these inputs; see `textmill.contract.ClassifyZeroShot`."""
        if not labels:
            msg = "there are no labels to choose from"
            raise EmptyInput(msg, param="labels")
        if len(set(labels)) < len(labels):
            msg = f"the label {Counter(labels).most_common(1)[0][0]!r} is given twice"
            raise InvalidInput(msg, param="labels")
        if "{}" not in options.hypothesis:
            msg = f"the hypothesis {options.hypothesis!r} has no place for a label; write {{}} where it goes"
            raise InvalidInput(msg, param="hypothesis")
        texts = Texts(self._tokenizer, self._texts, inputs, options)
        return ZeroShotCall(inputs, labels, options, texts, self._pairs, self._judged)


def entailment(labels: Sequence[str]) -> tuple[int, int] | None:
    """The indices of the labels for a contradiction and for an entailment; None for a model that does not judge the latter.

    What is not called a contradiction is the first label, or the last one where the first is the entailment.
    """
    plain = [label.lower() for label in labels]
    entails = next((index for index, label in enumerate(plain) if label.startswith("entail")), None)
    if entails is None or len(labels) == 1:
        return None
    other = len(labels) - 1 if entails == 0 else 0
    return next((index for index, label in enumerate(plain) if label.startswith("contra")), other), entails


class ZeroShotCall:
    """The options of one call, checked."""

    def __init__(
        self,
        inputs: Sequence[str],
        labels: Sequence[str],
        options: ZeroShotOptions,
        texts: Texts,
        pairs: Pairs,
        judged: tuple[int, int],
    ) -> None:
        self.inputs = inputs
        self._labels = labels
        self._options = options
        self._texts = texts
        self._pairs = pairs
        self._judged = judged

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each label of each text, the text in front and cut where both are too long."""
        prompted = [self._texts.prompt + text for text in inputs]
        bodies = enumerate(self._texts.bodies(prompted, first), first)
        return [self._row(body, hypothesis, index) for index, body in bodies for hypothesis in self._hypotheses]

    def finish(self, done: Done) -> Classifications:
        """The scores of the caller's labels, in their order."""
        count = len(self._labels)
        logits = done.outputs["logits"].reshape(len(self.inputs), count, -1)
        alone = self._options.multi_label or count == 1
        scores: npt.NDArray[np.float32] = (
            softmax(logits[..., list(self._judged)])[..., 1] if alone else softmax(logits[..., self._judged[1]])
        )
        groups = [slice(start, start + count) for start in range(0, len(done.prepared), count)]
        return Classifications(
            labels=tuple(self._labels),
            scores=scores,
            tokens=tuple(sum(done.tokens[group]) for group in groups),
            truncated=tuple(any(done.truncated[group]) for group in groups),
            timings=done.timings,
            cached=done.cached,
        )

    @cached_property
    def _hypotheses(self) -> list[Ids]:
        """Tokenised once for all texts; raises InvalidInput that speaks of the label, for what is not text or fills the model."""
        room = self._pairs.room
        with blamed(("input ", "label "), param="labels"):
            made = self._texts.bodies([self._options.hypothesis.replace("{}", label) for label in self._labels], 0)
        for index, ids in enumerate(made):
            if len(ids) >= room:  # a token of the text at least
                msg = f"label {index} in its hypothesis has {len(ids)} tokens, but the model has room for {room} beside special ones, a text included; shorten either"
                raise InvalidInput(msg, param="labels")
        return made

    def _row(self, text: Ids, hypothesis: Ids, index: int) -> Prepared:
        row = self._pairs.join(
            text, hypothesis, "only_first", truncate=self._texts.truncate, side=self._texts.side, index=index
        )
        return Prepared(Row(row.ids, row.types, outputs=("logits",)), index, row.truncated)
