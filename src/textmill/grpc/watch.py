"""What metrics, traces and the log are told of a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Self

from grpc import StatusCode

from textmill.telemetry import Telemetry
from textmill.telemetry.request import CURRENT, Request
from textmill.telemetry.tei import Form

_FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("Embed", "EmbedSparse", "EmbedAll", "Predict", "PredictPair"), "single"),
    **dict.fromkeys(("Rerank", "RerankStream"), "batch"),
}
"""The rpcs that count among TEI's requests; its streams in both directions do not."""
_OURS = frozenset({StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS})
"""The statuses that are errors of a server, as OpenTelemetry has it; the others are the caller's."""


class Watch:
    """One call, from its metadata to its status; ``code`` is set by whoever answers it."""

    def __init__(self, telemetry: Telemetry, rpc: str, metadata: Sequence[tuple[bytes, bytes]]) -> None:
        self.code = StatusCode.OK
        self._telemetry = telemetry
        self._rpc = rpc
        self._metadata = metadata
        self._model = ""
        self._form: Form | None = None
        self._started = 0.0
        self._request: Request | None = None
        self._token: Token[Request | None] | None = None

    def enter(self, model: str) -> None:
        """The caller may call, and this model answers."""
        self._model = model
        self._form = _FORMS.get(self._rpc.rpartition("/")[2])
        if self._form is not None:
            self._telemetry.observe_entry(self._form)

    def fail(self, error: Exception) -> None:
        """The call is about to be refused for this."""
        if self._form is not None:
            self._telemetry.observe_failure(error)
        elif self._model and self._rpc.rpartition("/")[2].removesuffix("Stream") in _FORMS:
            self._telemetry.log_failure(error)

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._request = self._telemetry.begin(self._metadata)
        if self._request is not None:
            self._token = CURRENT.set(self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._started
        if self._form is not None and isinstance(error, asyncio.CancelledError):
            self._telemetry.observe_dropped()
        self._telemetry.observe_request(self._rpc, self.code.name, self._model, seconds, form=self._form)
        if self._request is not None and self._token is not None:
            service, _, method = self._rpc.partition("/")
            number: int = self.code.value[0]
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
            status = 200 if self.code is StatusCode.OK else 500 if self.code in _OURS else 400
            self._telemetry.end(
                self._request, self._rpc, {**attributes, "rpc.grpc.status_code": number}, seconds, status
            )
            CURRENT.reset(self._token)
