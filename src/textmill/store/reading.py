"""The verbs of a loaded model that only its tokenizer takes part in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from textmill.contract import Token, TokenizeOptions
from textmill.store.verbs import Verbs
from textmill.tasks.inputs import as_inputs, as_texts
from textmill.tasks.line import Line


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
        """`decode` for servers."""
        return await self._line.aside(
            lambda given: self._verbs.read.decode(given, skip_special_tokens=skip_special_tokens), inputs
        )


def _parts(inputs: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive texts of so many characters together, at least one; one empty part of none."""
    start = characters = 0
    for end, text in enumerate(inputs):
        if end > start and characters + len(text) > _PART:
            yield inputs[start:end]
            start, characters = end, 0
        characters += len(text)
    yield inputs[start:]


_PART = 16_384
"""Characters that are tokenised in some ten milliseconds."""
