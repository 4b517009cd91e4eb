"""TEI's routes for the tokenizer: /tokenize and /decode."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from textmill.contract import Token, TokenizeOptions
from textmill.errors import EmptyInput
from textmill.http.answer import Answer
from textmill.http.failures import WrongShape
from textmill.http.inputs import TokenId, check_count, refuse_empty
from textmill.http.operation import Operation
from textmill.http.schema import exactly
from textmill.http.service import Service
from textmill.http.tei_dialect import FAILURES, TEXT_EMBEDDINGS_INFERENCE, ModelName, PromptName

_TEXT = {"type": "string", "minLength": 1}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}, "minItems": 1}


class TokenizeRequest(Struct, frozen=True):
    """Texts whose tokens are wanted."""

    inputs: Annotated[
        str | list[str],
        Meta(
            description="A text, or a list of texts.",
            extra_json_schema=exactly({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
        ),
    ]
    add_special_tokens: Annotated[
        bool | None, Meta(description="Put the model's special tokens around each text (the default).")
    ] = None
    prompt_name: PromptName = None
    model: ModelName = None


class SimpleToken(Struct, frozen=True):
    """A token; ``start`` and ``stop`` count bytes of UTF-8 from the prompt's first. Special tokens stand nowhere."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeRequest(Struct, frozen=True):
    """Ids whose text is wanted."""

    ids: Annotated[
        list[TokenId | list[TokenId]],
        Meta(
            description="The ids of a text, or a list of such lists.",
            extra_json_schema=exactly({"anyOf": [_IDS, {"type": "array", "items": _IDS, "minItems": 1}]}),
        ),
    ]
    skip_special_tokens: Annotated[bool | None, Meta(description="Leave special tokens out (the default).")] = None
    model: ModelName = None


_FEW = 1024
"""Tokens that take a millisecond to write down."""


async def tokenize(service: Service, request: TokenizeRequest) -> Answer:
    """POST /tokenize."""
    model = await service.model(request.model)
    inputs = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    if not inputs:
        msg = "'inputs' is an empty list; there is nothing to tokenise"
        raise EmptyInput(msg, param="inputs")
    check_count("inputs", len(inputs), service.settings.max_inputs)
    refuse_empty(inputs, "inputs")
    options = TokenizeOptions(prompt_name=request.prompt_name, special_tokens=request.add_special_tokens is not False)
    tokens = await model.tokenize_inputs(inputs, options)
    pieces = []
    for text in tokens:
        pieces.append(msgspec.json.encode([_simple(token) for token in text]))
        if len(text) > _FEW:
            await asyncio.sleep(0)  # others have their turn
    return Answer(b"[" + b",".join(pieces) + b"]", model=model.info.name)


async def decode(service: Service, request: DecodeRequest) -> Answer:
    """POST /decode."""
    model = await service.model(request.model)
    lists = _lists(request.ids)
    check_count("ids", len(lists), service.settings.max_inputs)
    if not all(lists):
        msg = f"ids[{lists.index([])}] is an empty list; there is nothing to decode"
        raise EmptyInput(msg, param="ids")
    texts = await model.decode_inputs(lists, skip_special_tokens=request.skip_special_tokens is not False)
    return Answer(msgspec.json.encode(texts), model=model.info.name)


def _lists(given: list[int | list[int]]) -> list[list[int]]:
    """The lists of a request; a bare list of ids is one. Raises WrongShape for ids beside lists."""
    lists = [item for item in given if isinstance(item, list)]
    if not lists:
        return [[item for item in given if isinstance(item, int)]]
    if len(lists) < len(given):
        msg = "ids: mixes ids with lists of ids; give the ids of one text, or a list for each text"
        raise WrongShape(msg, param="ids")
    return lists


def _simple(token: Token) -> SimpleToken:
    return SimpleToken(token.id, token.text, token.special, token.start, token.stop)


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/tokenize",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=tokenize,
        takes=TokenizeRequest,
        gives=list[list[SimpleToken]],
        summary="Give the tokens of texts (TEI)",
        description="For each text its tokens, never cut, with the bytes that they stand for.",
        example={"inputs": "The mill turns."},
        answers_with=[
            [
                {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None},
                {"id": 1996, "text": "The", "special": False, "start": 0, "stop": 3},
            ]
        ],
        statuses=FAILURES,
        strict=True,
    ),
    Operation(
        method="POST",
        paths=("/decode",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=decode,
        takes=DecodeRequest,
        gives=list[str],
        summary="Give the texts of token ids (TEI)",
        description="A text for each list of ids, as far as the tokenizer can give it back.",
        example={"ids": [101, 1996, 4971, 102]},
        answers_with=["the mill"],
        statuses=FAILURES,
        strict=True,
    ),
)
