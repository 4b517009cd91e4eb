"""Texts or ids to the ids of rows: prompts, lengths, and the end at which a text is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Encoded, Tokenizer
from textmill.contract import Input, Side, TextOptions, TokenizeOptions
from textmill.errors import EmptyInput, InvalidInput


@dataclass(frozen=True, slots=True)
class TextProfile:
    """The little that a task knows of a model's texts."""

    prompts: Mapping[str, str]
    default_prompt: str
    max_tokens: int
    truncate_side: Side = "right"


class Texts:
    """The texts of one call: its options, checked against the model.

    Raises EmptyInput for no inputs, InvalidInput for a prompt that the model does not have.
    """

    def __init__(
        self, tokenizer: Tokenizer, profile: TextProfile, inputs: Sequence[object], options: TextOptions
    ) -> None:
        refuse_nothing(inputs)
        self._tokenizer = tokenizer
        self.truncate = options.truncate
        self.prompt = prompt_of(profile, options)
        self.side: Side = options.truncate_side or profile.truncate_side
        self.max_tokens = profile.max_tokens

    def encode(self, inputs: Sequence[Input], first: int) -> list[Encoded]:
        """The inputs in order, counted from ``first`` in messages; ids run as they are, but for a prompt in front of their text.

        Raises InvalidInput for what the tokenizer refuses, and for what is too long where it must not be cut.
        """
        if all(isinstance(item, str) for item in inputs):
            return self._texts(cast("Sequence[str]", inputs), first)
        return [self._either(item, first + index) for index, item in enumerate(inputs)]

    def bodies(self, texts: Sequence[str], first: int) -> list[npt.NDArray[np.int32]]:
        """The ids of texts without prompt and special tokens, not cut, as far as the model could take them; for pairs."""
        return self._tokenizer.bodies(
            texts, max_tokens=self.max_tokens, truncate=self.truncate, side=self.side, first=first
        )

    def spans(self, texts: Sequence[str], first: int) -> list[tuple[Encoded, npt.NDArray[np.int32]]]:
        """The texts behind the prompt, each with where its tokens stand in both; see `Tokenizer.spans`."""
        prompted = [self.prompt + text for text in texts]
        return self._tokenizer.spans(
            prompted, max_tokens=self.max_tokens, truncate=self.truncate, side=self.side, first=first
        )

    def prompt_tokens(self, item: Encoded, tokens: int) -> int:
        """How many of a row's tokens are left of the prompt's ``tokens``: a cut at the left takes them first.

        One token must be left to pool.
        """
        if self.side == "left":
            tokens -= item.tokens_before - len(item.ids)
        return max(0, min(tokens, len(item.ids) - 1))

    def _texts(self, texts: Sequence[str], first: int) -> list[Encoded]:
        return self._tokenizer.encode(
            texts, max_tokens=self.max_tokens, truncate=self.truncate, side=self.side, prompt=self.prompt, first=first
        )

    def _either(self, item: Input, index: int) -> Encoded:
        if isinstance(item, str):
            return self._texts([item], index)[0]
        ids = self._tokenizer.check_ids(item, index)
        if self.prompt:
            return self._texts([self._tokenizer.decode(item)], index)[0]
        limit = self.max_tokens
        if len(ids) > limit and not self.truncate:
            msg = f"input {index} has {len(ids)} tokens, but the model takes at most {limit}; shorten it or allow truncation"
            raise InvalidInput(msg, index=index)
        return Encoded(ids[:limit] if self.side == "right" else ids[-limit:], len(ids))


def refuse_nothing(inputs: Sequence[object]) -> None:
    """Raise EmptyInput for a call without inputs."""
    if not inputs:
        msg = "there is nothing to do: the list of inputs is empty"
        raise EmptyInput(msg, param="input")


def prompt_of(profile: TextProfile, options: TextOptions | TokenizeOptions) -> str:
    """What the options put in front of each text; raises InvalidInput for a prompt that the model does not have."""
    if options.prompt is not None:
        return options.prompt
    if options.prompt_name is None:
        return profile.default_prompt
    if options.prompt_name not in profile.prompts:
        known = ", ".join(sorted(profile.prompts)) or "none"
        msg = f"the model has no prompt named {options.prompt_name!r}; its prompts: {known}"
        raise InvalidInput(msg, param="prompt_name")
    return profile.prompts[options.prompt_name]
