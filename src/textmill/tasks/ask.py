"""The rerank task on a language model: each text in a question, and the answer from the scores of yes and no."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.kind import Question
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import RerankOptions, Scores, Scoring
from textmill.errors import InvalidInput
from textmill.runtimes.runtime import Row
from textmill.tasks.inputs import blamed
from textmill.tasks.line import Done, Prepared
from textmill.tasks.rerank import scoring_of
from textmill.tasks.scores import scored
from textmill.tasks.texts import TextProfile, Texts

Ids = npt.NDArray[np.int32]


class Asker:
    """Makes calls that ask a language model. Thread-safe. ``tokenizer`` puts no special tokens around texts."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, question: Question) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._question = question

    def call(self, query: str, texts: Sequence[str], options: RerankOptions) -> AskCall:
        """A call for these texts; see `textmill.contract.Rerank`."""
        if options.instruction is not None and self._question.instruction is None:
            msg = "this model takes no instruction: its question is always the same"
            raise InvalidInput(msg, param="instruction")
        return AskCall(query, texts, Texts(self._tokenizer, self._texts, texts, options), self._question, options)


class AskCall:
    """One call: what stands before a text is tokenised once, and only the text is cut."""

    def __init__(
        self, query: str, inputs: Sequence[str], texts: Texts, question: Question, options: RerankOptions
    ) -> None:
        self.inputs = inputs
        self._query = query
        self._texts = texts
        self._question = question
        self._instruction = options.instruction
        self._truncate = options.truncate
        self._scoring: Scoring = scoring_of(options)

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each text."""
        before, after = self._around
        room = self._texts.max_tokens - len(before) - len(after)
        if room < 1:
            msg = f"the query and its question have {len(before) + len(after)} tokens, but the model takes {self._texts.max_tokens}"
            raise InvalidInput(msg, param="query")
        prepared = []
        bodies = self._texts.bodies([self._question.text.replace("{text}", text) for text in inputs], first)
        for index, body in enumerate(bodies, first):
            if len(body) > room and not self._truncate:
                msg = f"input {index} has {len(body)} tokens, but beside the question there is room for {room}; shorten it"
                raise InvalidInput(msg, index=index)
            ids = np.concatenate([before, body[:room], after], dtype=np.int32)
            prepared.append(Prepared(Row(ids, outputs=("logits",)), index, len(body) > room))
        return prepared

    def finish(self, done: Done) -> Scores:
        """The score of yes, less that of no where there is one, for each text in the order given."""
        logits = done.outputs["logits"]
        answers = logits[:, 0] - logits[:, 1] if logits.shape[1] > 1 else logits[:, 0]
        return Scores(
            scores=scored(answers, self._scoring),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
            cached=done.cached,
        )

    @cached_property
    def _around(self) -> tuple[Ids, Ids]:
        """The ids before and behind every text."""
        question = self._question
        given = self._instruction if self._instruction is not None else question.instruction
        instruction = question.around_instruction.replace("{instruction}", given) if given else ""
        before = [self._filled(part, instruction) for part in question.before]
        after = [self._texts.bodies([part], 0)[0] for part in question.after]
        return np.concatenate(before, dtype=np.int32), np.concatenate(after, dtype=np.int32)

    def _filled(self, part: str, instruction: str) -> Ids:
        """The ids of a part with what the caller says in it; raises InvalidInput that speaks of that."""
        filled = part.replace("{instruction}", instruction).replace("{query}", self._query)
        try:
            return self._texts.bodies([filled], 0)[0]
        except InvalidInput:
            for param, text in (("query", self._query), ("instruction", instruction)):
                with blamed(("input 0", f"the {param}"), param=param):
                    self._texts.bodies([text], 0)
            raise
