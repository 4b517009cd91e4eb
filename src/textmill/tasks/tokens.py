"""The embed_tokens task: the states of an input's tokens, before any pooling."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Input, MultiEmbeddings, TextOptions
from textmill.runtimes.runtime import Row
from textmill.tasks.line import Done, Prepared
from textmill.tasks.texts import TextProfile, Texts


class TokenEmbedder:
    """Makes calls that give token states. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile) -> None:
        self._tokenizer = tokenizer
        self._texts = texts

    def call(self, inputs: Sequence[Input], options: TextOptions) -> TokensCall:
        """A call for these inputs; see `textmill.contract.EmbedTokens`."""
        return TokensCall(inputs, Texts(self._tokenizer, self._texts, inputs, options))


class TokensCall:
    """One call."""

    def __init__(self, inputs: Sequence[Input], texts: Texts) -> None:
        self.inputs = inputs
        self._texts = texts

    def prepare(self, inputs: Sequence[Input], first: int) -> list[Prepared]:
        """A row for each input."""
        encoded = enumerate(self._texts.encode(inputs, first), first)
        return [Prepared(Row(item.ids, outputs=("tokens",)), index, item.truncated) for index, item in encoded]

    def finish(self, done: Done) -> MultiEmbeddings:
        """The states of all tokens, special ones and prompts included."""
        return MultiEmbeddings(
            vectors=tuple(done.outputs["tokens"]), tokens=done.tokens, truncated=done.truncated, timings=done.timings
        )
