"""How Text Embeddings Inference says no, and what its routes have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import Side
from textmill.http.failures import Failure
from textmill.http.operation import Answer

_PLAIN = "text/plain; charset=utf-8"
_SIDES: Mapping[str, Side] = {"left": "left", "right": "right"}

Truncate = Annotated[
    bool | None, Meta(description="Cut texts that are too long (the default), or refuse them with `false`.")
]
Direction = Annotated[
    Literal["left", "right", "Left", "Right", "LEFT", "RIGHT"] | None,
    Meta(description="The end that is cut off: `right` or `left`; absent means the model's own, mostly right."),
]
PromptName = Annotated[str | None, Meta(description="One of the model's own prompts; absent means its default prompt.")]
RawScores = Annotated[bool | None, Meta(description="Answer the model's own scores, not shares between 0 and 1.")]


def side_of(direction: str | None) -> Side | None:
    """The end that a request wants cut; None where it does not say."""
    return None if direction is None else _SIDES[direction.lower()]


class ErrorText(Struct, frozen=True):
    """TEI's error."""

    error: str
    error_type: str


class TEI:
    """Errors as TEI answers them: JSON from a route, plain text for a body that never reached it, nothing for a wrong key."""

    name = "Text Embeddings Inference"
    failure_schema = ErrorText

    def refuse(self, failure: Failure) -> Answer:
        """`ErrorText`, or plain text, with TEI's status."""
        status = failure.kind.tei_status
        if failure.withheld:
            return Answer(status=status, headers=failure.headers)
        if failure.body_level:
            return Answer(failure.message.encode(), status, _PLAIN, failure.headers)
        body = orjson.dumps({"error": failure.message, "error_type": failure.kind.tei_type})
        return Answer(body, status, headers=failure.headers)


TEXT_EMBEDDINGS_INFERENCE = TEI()

FAILURES = {
    400: "There is nothing to compute (JSON), or the body is not JSON (plain text).",
    401: "The API key is missing or wrong; no body.",
    413: "The body is larger than the server accepts; plain text.",
    422: "A text, an option or an id is wrong (JSON), or a field has the wrong type (plain text).",
    424: "The model does something else, or failed on these inputs.",
    429: "Too much work waits; come back after Retry-After seconds.",
    503: "The model is shutting down.",
}
