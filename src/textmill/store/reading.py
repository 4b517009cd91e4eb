"""The verbs of a loaded model that only its tokenizer takes part in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from textmill.contract import Token, TokenizeOptions
from textmill.errors import InvalidInput
from textmill.store.verbs import Verbs
from textmill.tasks.inputs import as_inputs, as_texts
from textmill.tasks.line import Line

_Long = TypeVar("_Long", str, Sequence[int])


class ReadingVerbs:
    """What tokens the model makes of texts, and what texts ids stand for. Every model has these."""

    _verbs: Verbs
    _line: Line

    def tokenize(
        self,
        texts: str | Iterable[str],
        *,
        special_tokens: bool = True,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> list[tuple[Token, ...]]:
        """The tokens of texts, never cut, with the bytes that they stand for.

        Args:
            texts: texts; a single one counts as a list of one.
            special_tokens: put the model's special tokens around each text.
            prompt: as `Model.embed`.
            prompt_name: as `Model.embed`.

        Returns:
            For each text its tokens, in order; places count from the beginning of prompt and text together.

        Raises:
            InvalidInput: a text is no text, or has more than 250 characters for each token that the model takes.

        """
        inputs = as_texts(texts, alone=True)
        options = TokenizeOptions(prompt=prompt, prompt_name=prompt_name, special_tokens=special_tokens)
        return list(self._verbs.read.tokenize(inputs, options)) if inputs else []

    def decode(self, ids: Iterable[Sequence[int]], *, skip_special_tokens: bool = True) -> list[str]:
        """The texts of lists of ids, as far as the tokenizer can give them back. Raises InvalidInput for ids of no token."""
        inputs = [[] if isinstance(item, str) else item for item in as_inputs(ids)]
        return list(self._verbs.read.decode(inputs, skip_special_tokens=skip_special_tokens)) if inputs else []

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """`tokenize` for servers."""
        made: list[tuple[Token, ...]] = []
        for part in _parts(inputs):  # one after another, so that others' texts have their turn
            made += await self._line.aside(
                lambda given: self._verbs.read.tokenize(given[1], options, given[0]), (len(made), part)
            )
        return tuple(made)

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """`decode` for servers, of lists of at most `MOST_IDS`: decoding one stops all others for as long as it takes."""
        for index, ids in enumerate(inputs):
            if len(ids) > MOST_IDS:
                msg = f"input {index} has {len(ids)} token ids; a server decodes at most {MOST_IDS} at once: send them in parts"
                raise InvalidInput(msg, index=index)
        made: list[str] = []
        for part in _parts(inputs):
            made += await self._line.aside(
                lambda given: self._verbs.read.decode(
                    given[1], skip_special_tokens=skip_special_tokens, first=given[0]
                ),
                (len(made), part),
            )
        return tuple(made)


def _parts(inputs: Sequence[_Long]) -> Iterator[Sequence[_Long]]:
    """Consecutive inputs of so many characters or ids together, at least one; one empty part of none."""
    start = characters = 0
    for end, text in enumerate(inputs):
        if end > start and characters + len(text) > _PART:
            yield inputs[start:end]
            start, characters = end, 0
        characters += len(text)
    yield inputs[start:]


_PART = 16_384
"""Characters that are tokenised, or ids that are decoded, in some ten milliseconds."""

MOST_IDS = 1 << 16
"""Ids of one text: some 50 milliseconds in which the tokenizer lets nothing else run."""
