"""The tokenizer as LocalAI has it: /v1/tokenize and /v1/detokenize."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta, Struct

from textmill.contract import TokenizeOptions
from textmill.http.answer import Answer
from textmill.http.inputs import TokenId
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Service


class TokenizeContentRequest(Struct, frozen=True):
    """A text whose tokens are wanted."""

    content: Annotated[str, Meta(description="The text, by itself: no prompt goes in front of it.")]
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    add_special_tokens: Annotated[
        bool | None,
        Meta(
            description="Put the model's special tokens around the text (the default): what it reads, and what `usage` counts."
        ),
    ] = None


class TokensAnswer(Struct, frozen=True):
    """The ids of the text's tokens, none cut off."""

    tokens: list[int]


class DetokenizeRequest(Struct, frozen=True):
    """Ids whose text is wanted."""

    tokens: Annotated[list[TokenId], Meta(description="The model's own ids. None at all are an empty text.")]
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    skip_special_tokens: Annotated[bool | None, Meta(description="Leave special tokens out (the default).")] = None


class ContentAnswer(Struct, frozen=True):
    """The text of the ids."""

    content: str


async def tokenize_content(service: Service, request: TokenizeContentRequest) -> Answer:
    """POST /v1/tokenize."""
    model = await service.model(request.model)
    options = TokenizeOptions(prompt="", special_tokens=request.add_special_tokens is not False)
    [tokens] = await model.tokenize_inputs([request.content], options)
    return Answer(orjson.dumps({"tokens": [token.id for token in tokens]}), model=model.info.name)


async def detokenize(service: Service, request: DetokenizeRequest) -> Answer:
    """POST /v1/detokenize."""
    model = await service.model(request.model)
    skip = request.skip_special_tokens is not False
    texts = await model.decode_inputs([request.tokens], skip_special_tokens=skip) if request.tokens else ("",)
    return Answer(msgspec.json.encode(ContentAnswer(texts[0])), model=model.info.name)


_FAILURES = {
    400: "The body is not JSON, a field is wrong, or an id is none of the model's.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    413: "The body is larger than the server accepts.",
    422: "With `textmill tei`: an id is none of the model's, or a field has the wrong type.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "A bug; the server's log explains it.",
    503: "The model could not be loaded, or is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/tokenize",),
        dialect=OPENAI,
        handle=tokenize_content,
        takes=TokenizeContentRequest,
        gives=TokensAnswer,
        summary="Give the tokens of a text (LocalAI)",
        description="Ids as `/v1/embeddings` takes them in place of the text. `/tokenize` says where they stand in it.",
        example={"content": "the mill turns"},
        answers_with={"tokens": [101, 1996, 4971, 4332, 102]},
        statuses=_FAILURES,
    ),
    Operation(
        method="POST",
        paths=("/v1/detokenize",),
        dialect=OPENAI,
        handle=detokenize,
        takes=DetokenizeRequest,
        gives=ContentAnswer,
        summary="Give the text of tokens (LocalAI)",
        description="As far as the tokenizer can give it back.",
        example={"tokens": [101, 1996, 4971, 4332, 102]},
        answers_with={"content": "the mill turns"},
        statuses=_FAILURES,
    ),
)
