"""One operation as an ASGI app: key, body, handler, response; and what happens when the client leaves meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

from starlette.types import Receive, Scope, Send

from textmill.errors import ForwardFailed, TextmillError, Unavailable
from textmill.http.address import AddressDecoder
from textmill.http.answer import Answer, Streamed
from textmill.http.body import BodyDecoder, check_content_type, read_body
from textmill.http.failures import ClientLeft
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.stream import respond as stream

T = TypeVar("T")

_log = logging.getLogger("textmill.http")


class Endpoint(Generic[T]):
    """Serves an operation. Errors pass through; the app's exception handlers turn them into answers."""

    def __init__(self, operation: Operation[T], service: Service) -> None:
        self.operation = operation
        self._service = service
        self._body = BodyDecoder(operation.takes, strict=operation.strict)
        self._address = AddressDecoder(operation.takes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive, send)
        except asyncio.CancelledError:  # by the server, when a drain has reached its deadline
            msg = "the server is shutting down and did not get to this request in time"
            late = Unavailable(msg)
            self._count(scope, late)
            if "textmill.begun" in scope:
                return  # the client has been told within its stream
            raise late from None
        except BaseException as error:
            self._count(scope, error)
            raise
        if answer is not None:
            scope["textmill.model"] = answer.model
            await respond(answer, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer; None where it has been sent already, bit by bit."""
        self._service.rights.check(self.operation.right, scope["method"], scope["headers"])
        async with AsyncExitStack() as held:
            answer = await self._handled(scope, receive, send, self._service.asked(held, scope))
            return None if isinstance(answer, Streamed) else answer

    async def _handled(self, scope: Scope, receive: Receive, send: Send, service: Service) -> Answer | Streamed:
        operation = self.operation
        if not operation.bodied:
            body = await read_body(scope, receive, service.settings.body_limit) if operation.either else b""
            return await while_connected(receive, operation.handle(service, self._address.decode(scope, body)))
        with service.permits.begin():
            if operation.strict and not operation.untyped:
                check_content_type(scope["headers"])
            taken = self._body.decode(await read_body(scope, receive, service.settings.body_limit))
            service.form = None if operation.form is None else operation.form(taken)
            return await while_connected(receive, self._made(operation.handle(service, taken), scope, send))

    async def _made(self, making: Awaitable[Answer | Streamed], scope: Scope, send: Send) -> Answer | Streamed:
        """The answer of a handler, sent already if it is one that comes bit by bit."""
        answer = await making
        if isinstance(answer, Streamed):
            failed = await stream(answer, self._refuse, scope, send)
            if failed is not None:
                self._count(scope, failed)
                self._tell(scope, failed)
        return answer

    def _refuse(self, error: Exception) -> Answer:
        return self.operation.dialect.refuse(self._service.refuse(error))

    def _tell(self, scope: Scope, error: Exception) -> None:
        """Log an error of a stream that is not its client's, as the app does with others."""
        if not isinstance(error, TextmillError) or isinstance(error, ForwardFailed):
            bug = None if isinstance(error, TextmillError) else error
            _log.error("%s %s: %s", scope["method"], scope["path"], error, exc_info=bug)

    def _count(self, scope: Scope, error: BaseException) -> None:
        """Count an error of a request that has its model: TEI's routes see none before."""
        if "textmill.form" in scope:
            telemetry = self._service.telemetry
            telemetry.observe_dropped() if isinstance(error, ClientLeft) else telemetry.observe_failure(error)


async def respond(answer: Answer, send: Send) -> None:
    """Send an answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})


async def while_connected(receive: Receive, answer: Awaitable[T]) -> T:
    """Await the answer, but cancel it when the client disconnects: raises ClientLeft then."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - ASGI apps run in tasks
    left = answered = False

    def leave(watch: asyncio.Task[None]) -> None:
        nonlocal left
        if not watch.cancelled() and not answered:
            left = True
            task.cancel()

    watch = asyncio.create_task(_disconnection(receive))
    watch.add_done_callback(leave)
    try:
        return await answer
    except asyncio.CancelledError:
        # Cancelled by our own watch and by nobody else: the cancellation ends here.
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        answered = True
        watch.cancel()


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
