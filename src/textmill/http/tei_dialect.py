"""How Text Embeddings Inference says no, and what its routes have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import Side, Task
from textmill.errors import WrongTask
from textmill.http.answer import JSON, Answer
from textmill.http.failures import Failure
from textmill.http.service import Model, Service

_PLAIN = "text/plain; charset=utf-8"
_FORMS: Mapping[int, tuple[str, ...]] = {
    400: (JSON, "text/plain"),
    401: (),
    413: ("text/plain", JSON),
    415: ("text/plain",),
    422: (JSON, "text/plain"),
}
_ROUTES: Mapping[Task, str] = {
    "embed": "/embed",
    "embed_chunks": "/embed_chunks",
    "embed_sparse": "/embed_sparse",
    "embed_tokens": "/embed_all",
    "classify": "/predict",
    "rerank": "/rerank",
}
_SIDES: Mapping[str, Side] = {"left": "left", "right": "right"}

Overflow = Annotated[
    Literal["truncate", "error"] | None,
    Meta(description="Texts that are too long are cut (`truncate`) or refused (`error`), whatever `truncate` says."),
]
Truncate = Annotated[
    bool | None,
    Meta(
        description="Cut texts that are too long, or refuse them with `false`; absent means as `auto_truncate` of `/info`."
    ),
]
Direction = Annotated[
    Literal["left", "right", "Left", "Right", "LEFT", "RIGHT"] | None,
    Meta(description="The end that is cut off: `right` or `left`; absent means the model's own, mostly right."),
]
PromptName = Annotated[str | None, Meta(description="One of the model's own prompts; absent means its default prompt.")]
ModelName = Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")]
RawScores = Annotated[bool | None, Meta(description="Answer the model's own scores, not shares between 0 and 1.")]


def side_of(direction: str | None) -> Side | None:
    """The end that a request wants cut; None where it does not say."""
    return None if direction is None else _SIDES[direction.lower()]


def cuts(service: Service, truncate: bool | None, overflow: str | None = None) -> bool:  # noqa: FBT001 - a field of a request
    """Whether texts that are too long are cut: by ``on_overflow``, else ``truncate``, else the server's own way."""
    if overflow is not None:
        return overflow == "truncate"
    return service.settings.auto_truncate if truncate is None else truncate


def require(model: Model, task: Task) -> None:
    """Raise WrongTask, with what the model can do and where, unless it has the verb."""
    tasks = model.info.tasks
    if task not in tasks:
        can = ", ".join(f"{name} ({_ROUTES[name]})" if name in _ROUTES else name for name in tasks)
        msg = f"{model.info.name} cannot {task}; it can {can}"
        raise WrongTask(msg)


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

    def forms(self, status: int) -> tuple[str, ...]:
        """JSON or plain text, both, or neither."""
        return _FORMS.get(status, (JSON,))


TEXT_EMBEDDINGS_INFERENCE = TEI()

FAILURES = {
    400: "There is nothing to compute (JSON), or the body is not JSON (plain text).",
    401: "The API key is missing or wrong; no body.",
    404: "No model of that name is loaded.",
    413: "The body is larger than the server accepts; plain text. In JSON what 422 is, for clients of TEI 1.6.",
    415: "The Content-Type is not that of JSON; plain text.",
    422: "A text, an option or an id is wrong (JSON), or a field has the wrong type (plain text).",
    424: "The model does something else, or failed on these inputs.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "A bug; the server's log explains it.",
    503: "The model is shutting down, or could not be loaded.",
}
