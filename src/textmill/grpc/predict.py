"""The rpcs of `tei.v1.Predict`: labels of a text, or of two texts that are read together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textmill.contract import Classifications, ClassifyOptions, Input, Pair
from textmill.errors import EmptyInput, InvalidInput
from textmill.grpc.embed import TOGETHER, text_of
from textmill.grpc.messages import PredictPairRequest, PredictRequest, PredictResponse
from textmill.grpc.served import Model
from textmill.grpc.verb import remembered, side_of
from textmill.tasks.best import descending, refuse_no_numbers

_PAIR = 2


class Labels:
    """Predict."""

    request = PredictRequest
    free = False
    together = TOGETHER

    def read(self, message: Any) -> tuple[Input | Pair, ClassifyOptions]:
        """The text, and how."""
        return text_of(message), _how(message)

    async def ask(self, model: Model, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """Classify the texts or pairs."""
        made = await model.classify_inputs(inputs, options)
        refuse_no_numbers(made.scores)
        return made

    def answer(self, made: Classifications, index: int) -> bytes:
        """All labels, the best first."""
        scores = made.scores[index]
        predictions = [{"score": scores[best], "label": made.labels[best]} for best in descending(scores)]
        message: bytes = PredictResponse(predictions=predictions).SerializeToString()
        return message


class PairLabels(Labels):
    """PredictPair."""

    request = PredictPairRequest

    def read(self, message: Any) -> tuple[Input | Pair, ClassifyOptions]:
        """The text or the pair, and how."""
        texts = message.inputs
        if len(texts) not in (1, _PAIR):
            msg = f"'inputs' has {len(texts)} texts; give one, or two that are read together"
            raise InvalidInput(msg, param="inputs")
        if not any(texts):
            msg = "'inputs' has empty texts only; there is nothing to classify"
            raise EmptyInput(msg, param="inputs", index=0)
        return (texts[0] if len(texts) == 1 else (texts[0], texts[1])), _how(message)


def _how(message: Any) -> ClassifyOptions:
    return _options(message.truncate, message.raw_scores, message.truncation_direction)


@remembered
def _options(truncate: bool, raw_scores: bool, direction: int) -> ClassifyOptions:  # noqa: FBT001 - as messages have it
    return ClassifyOptions(truncate=truncate, truncate_side=side_of(direction), scoring="raw" if raw_scores else None)
