"""The rerank task: how relevant texts are to a query, by a model that reads both together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from textmill.checkpoint.pairs import Ids, Pairs
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import RerankOptions, Scores, Scoring
from textmill.errors import InvalidInput
from textmill.runtimes.runtime import Row
from textmill.tasks.inputs import blamed
from textmill.tasks.line import Call, Done, Prepared
from textmill.tasks.scores import scored
from textmill.tasks.texts import TextProfile, Texts


class Reranks(Protocol):
    """What makes the calls of the verb: a cross-encoder, a decoder that is asked, or late interaction."""

    def call(self, query: str, texts: Sequence[str], options: RerankOptions) -> Call[Any, Scores]:
        """A call for these texts; see `textmill.contract.Rerank`."""
        ...


class CrossEncoder:
    """Makes calls to a model with one score for a pair. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, pairs: Pairs, texts: TextProfile) -> None:
        self._tokenizer = tokenizer
        self._pairs = pairs
        self._texts = texts

    def call(self, query: str, texts: Sequence[str], options: RerankOptions) -> CrossCall:
        """A call for these texts; a prompt goes in front of the query, as sentence-transformers has it."""
        if options.instruction is not None:
            msg = "this model takes no instruction: it scores a query and a text as they are"
            raise InvalidInput(msg, param="instruction")
        return CrossCall(
            query, texts, Texts(self._tokenizer, self._texts, texts, options), self._pairs, scoring_of(options)
        )


class CrossCall:
    """The options of one call, checked."""

    def __init__(self, query: str, inputs: Sequence[str], texts: Texts, pairs: Pairs, scoring: Scoring) -> None:
        self.inputs = inputs
        self._query = query
        self._texts = texts
        self._pairs = pairs
        self._scoring = scoring

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each text, the query in front."""
        return [self._row(body, index) for index, body in enumerate(self._texts.bodies(inputs, first), first)]

    def finish(self, done: Done) -> Scores:
        """A score for each text, in the order given."""
        return Scores(
            scores=scored(done.outputs["logits"][:, 0], self._scoring),
            tokens=done.tokens,
            truncated=done.truncated,
            timings=done.timings,
            cached=done.cached,
        )

    def _row(self, text: Ids, index: int) -> Prepared:
        row = self._pairs.join(
            self._query_ids, text, "longest_first", truncate=self._texts.truncate, side=self._texts.side, index=index
        )
        return Prepared(Row(row.ids, row.types, outputs=("logits",)), index, row.truncated)

    @cached_property
    def _query_ids(self) -> Ids:
        """Tokenised with the first texts, off the event loop where they are long, and once for all of them.

        Raises InvalidInput that speaks of the query, for what is not text, or fills the model where it must not be cut.
        """
        with blamed(("input 0", "the query"), param="query"):
            ids = self._texts.bodies([self._texts.prompt + self._query], 0)[0]
        if len(ids) > self._pairs.room and not self._texts.truncate:
            msg = f"the query has {len(ids)} tokens, but the model has room for {self._pairs.room}; shorten it or allow truncation"
            raise InvalidInput(msg, param="query")
        return ids


def scoring_of(options: RerankOptions) -> Scoring:
    """How a call's scores are made; raises InvalidInput for shares, which a text on its own has none of."""
    if options.scoring == "softmax":
        msg = "scoring 'softmax' has no meaning for a reranker, which gives each text one score; use 'sigmoid' or 'raw'"
        raise InvalidInput(msg, param="scoring")
    return options.scoring or "sigmoid"
