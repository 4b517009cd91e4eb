"""Texts to tokens and back: what a model reads, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Token, TokenizeOptions
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing


class Reader:
    """Tokenises and decodes as its model does. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile) -> None:
        self._tokenizer = tokenizer
        self._texts = texts

    def tokenize(
        self, inputs: Sequence[str], options: TokenizeOptions, first: int = 0
    ) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text behind its prompt, none cut; messages count from ``first``. Raises EmptyInput, InvalidInput."""
        refuse_nothing(inputs)
        prompt = prompt_of(self._texts, options)
        return tuple(self._tokens(prompt + text, options, index) for index, text in enumerate(inputs, first))

    def decode(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool, first: int = 0) -> tuple[str, ...]:
        """The text of each list of ids; messages count from ``first``.

        Raises EmptyInput for none, InvalidInput for ids that the model does not have.
        """
        refuse_nothing(inputs)
        checked = [self._tokenizer.check_ids(ids, index).tolist() for index, ids in enumerate(inputs, first)]
        return tuple(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens) for ids in checked)

    def _tokens(self, text: str, options: TokenizeOptions, index: int) -> tuple[Token, ...]:
        made = self._tokenizer.pieces(
            text, specials=options.special_tokens, max_tokens=self._texts.max_tokens, index=index
        )
        places = _byte_places(text)
        marks = zip(made.ids, made.tokens, made.special_tokens_mask, made.offsets, strict=True)
        return tuple(
            Token(id_, name, special=True, start=None, stop=None)
            if special
            else Token(id_, text[start:stop], special=False, start=places[start], stop=places[stop])
            for id_, name, special, (start, stop) in marks
        )


def _byte_places(text: str) -> Sequence[int]:
    """Where each character begins in UTF-8, and where the last one ends."""
    if text.isascii():
        return range(len(text) + 1)
    return [0, *accumulate(len(character.encode()) for character in text)]
