"""An operation: a method on some paths, what it takes, what it answers, and how it looks in the documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from textmill.http.answer import Answer, Streamed
from textmill.http.failures import Failure
from textmill.http.framing import Framing
from textmill.http.rights import Right
from textmill.http.service import Service
from textmill.telemetry.tei import Form

T = TypeVar("T")


class Dialect(Protocol):
    """How a family of clients wants its errors."""

    @property
    def name(self) -> str:
        """The family, for the documentation."""
        ...

    @property
    def failure_schema(self) -> type:
        """The struct of an error's body."""
        ...

    def refuse(self, failure: Failure) -> Answer:
        """Say what went wrong."""
        ...

    def forms(self, status: int) -> tuple[str, ...]:
        """The content types in which it says so with this status; none where the body is empty."""
        ...


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation.

    Its ``takes`` is read from the body of a POST that is not ``addressed``; else from the address: each field from the parameter of
    the path (Starlette's ``{name}`` or ``{name:path}``) or of the query that has its name, with ``either`` also from a JSON body,
    behind them. NoneType takes nothing, and its handler gets None.

    ``gives`` is the type of a successful answer's JSON, or its content type where it is not JSON. The first of ``paths``
    names the operation in metrics and documentation. ``succeeds`` is the status of a successful answer, ``statuses`` are the failures
    that it can answer with, but for a wrong method. ``form`` says of a request that computes whether it has one input or a list, and raises WrongShape for what TEI's
    routes never see; an operation without it counts nothing in TEI's metrics.
    ``documented`` is the type of a body whose ``takes`` is Raw: that of any one route, chosen by its shape. A ``strict``
    operation reads bodies as TEI does: only with the Content-Type of JSON, with no field twice, and up to the end of the
    value; one that is ``untyped`` too leaves the Content-Type to its handler. One that ``streams`` may answer bit by bit, in this framing. ``right`` is what a caller must have: see `textmill.http.rights.Rights`.
    """

    method: Literal["GET", "POST", "DELETE"]
    paths: tuple[str, ...]
    dialect: Dialect
    handle: Callable[[Service, T], Awaitable[Answer | Streamed]]
    takes: type[T]
    gives: Any
    summary: str
    description: str = ""
    example: Any = None
    answers_with: Any = None
    statuses: Mapping[int, str] = field(default_factory=dict)
    right: Right = "use"
    form: Callable[[T], Form] | None = None
    strict: bool = False
    untyped: bool = False
    succeeds: int = 200
    documented: Any = None
    addressed: bool = False
    streams: Framing | None = None
    either: bool = False

    @property
    def bodied(self) -> bool:
        """Whether ``takes`` is read from a body."""
        return self.method == "POST" and not self.addressed

    @property
    def public(self) -> bool:
        """Whether it needs no key."""
        return self.right == "none"
