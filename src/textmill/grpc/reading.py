"""The rpcs of `tei.v1.Tokenize`: texts to tokens and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textmill.contract import Token, TokenizeOptions
from textmill.errors import EmptyInput
from textmill.grpc.embed import text_of
from textmill.grpc.messages import DecodeRequest, DecodeResponse, EncodeRequest, EncodeResponse
from textmill.grpc.served import Model
from textmill.grpc.verb import optional, remembered

_TOGETHER = 64


class Encoding:
    """Tokenize."""

    request = EncodeRequest
    free = True
    together = _TOGETHER

    def read(self, message: Any) -> tuple[str, TokenizeOptions]:
        """The text, and how."""
        return text_of(message), _options(message.add_special_tokens, optional(message, "prompt_name"))

    async def ask(self, model: Model, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """The tokens of the texts."""
        return await model.tokenize_inputs(inputs, options)

    def answer(self, made: tuple[tuple[Token, ...], ...], index: int) -> bytes:
        """The tokens; special ones have no place."""
        tokens = [
            {"id": token.id, "text": token.text, "special": token.special, "start": token.start, "stop": token.stop}
            for token in made[index]
        ]
        message: bytes = EncodeResponse(tokens=tokens).SerializeToString()
        return message


class Decoding:
    """Decode."""

    request = DecodeRequest
    free = True
    together = _TOGETHER

    def read(self, message: Any) -> tuple[list[int], bool]:
        """The ids, and whether special tokens are left out."""
        if not message.ids:
            msg = "'ids' is an empty list; there is nothing to decode"
            raise EmptyInput(msg, param="ids")
        return list(message.ids), message.skip_special_tokens

    async def ask(self, model: Model, inputs: Sequence[list[int]], options: bool) -> tuple[str, ...]:  # noqa: FBT001
        """The texts of the ids."""
        return await model.decode_inputs(inputs, skip_special_tokens=options)

    def answer(self, made: tuple[str, ...], index: int) -> bytes:
        """The text."""
        message: bytes = DecodeResponse(text=made[index]).SerializeToString()
        return message


@remembered
def _options(special_tokens: bool, prompt_name: str | None) -> TokenizeOptions:  # noqa: FBT001 - as the message has it
    return TokenizeOptions(prompt_name=prompt_name, special_tokens=special_tokens)
