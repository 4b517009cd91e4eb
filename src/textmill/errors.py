"""Every error that textmill raises on purpose, on one screen.

    TextmillError
    ├── InvalidInput          the caller's text, ids or options are wrong; changing the request helps
    │   ├── EmptyInput        there is nothing to embed
    │   ├── TooManyInputs     a request has more inputs than the server takes
    │   ├── ContextExceeded   a prompt is longer than the model's context; shortening it helps
    │   ├── WrongTask         the model does not have this verb; the message says which ones it has
    │   └── ModelUnclear      several models could answer; the message has their names
    ├── ModelNotFound         no model of that name is loaded or can be found
    ├── LoadFailed            a model that is known cannot be loaded now; the message says why
    ├── ModelBroken           the files of a model are missing, damaged or of a kind textmill does not run
    │   └── TemplateBroken    a prompt template of a model file has a fault; the message has its place
    ├── DownloadFailed        a file could not be fetched or stored; the message says why and whether trying again helps
    ├── ConfigInvalid         an option is unknown or has an impossible value
    ├── ExtraMissing          an optional dependency is not installed; the message has the pip command
    ├── Overloaded            too much work waits; `retry_after` says when to come back
    ├── Unavailable           the model is shutting down or its engine died
    └── ForwardFailed         the runtime failed on a batch

Rooms raise these; only the rooms of HTTP and gRPC turn them into a status.
"""

from __future__ import annotations


class TextmillError(Exception):
    """The root of all errors that textmill raises on purpose.

    ``str(error)`` is one sentence or two for a person: what was wrong, where, and what to do about it.
    """


class InvalidInput(TextmillError):
    """The caller's input or option is wrong; the same request will fail again.

    ``param`` names the field of the request, ``index`` the input in it, where they are known.
    """

    def __init__(self, message: str, *, param: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.index = index


class EmptyInput(InvalidInput):
    """There is nothing to embed: an empty list of inputs, an empty list of ids, or a text that the dialect forbids."""


class TooManyInputs(InvalidInput):
    """A request has more inputs than this server takes at once; the message says how many it takes."""


class ContextExceeded(InvalidInput):
    """A prompt has more tokens than the model's context, with room for an answer, holds; the message has both numbers where they are known."""


class WrongTask(InvalidInput):
    """The model does not do what was asked of it; the message says what it does."""


class ModelUnclear(InvalidInput):
    """A request names no model, and several could answer it; the message has their names."""


class ModelNotFound(TextmillError):
    """No model of that name is loaded, installed, cached or on the hub."""


class ModelBroken(TextmillError):
    """A model's files are missing, damaged, or describe something that textmill does not run."""


class TemplateBroken(ModelBroken):
    """A prompt template cannot be read, or cannot be filled with what a request brings.

    ``template`` is its name, ``line`` and ``column`` count from 1; the message begins with the three.
    """

    def __init__(self, message: str, *, template: str, line: int, column: int) -> None:
        super().__init__(message)
        self.template = template
        self.line = line
        self.column = column


class LoadFailed(TextmillError):
    """A model that is known cannot be loaded now: its files are wrong, or there is no room. The message says why.

    ``retry_after`` is how many seconds it will not be tried again, None where another attempt would fail as well.
    """

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DownloadFailed(TextmillError):
    """A file could not be fetched or stored: the network, the server or the disk is at fault, and what came so far is kept."""


class ConfigInvalid(TextmillError):
    """An option is unknown or its value is impossible."""


class ExtraMissing(TextmillError):
    """An optional dependency is not installed; the message holds the command that installs it."""


class Overloaded(TextmillError):
    """Too much work waits already. ``retry_after`` is the estimated wait in seconds, at least one."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(TextmillError):
    """The model cannot answer any more: it is shutting down or its engine died."""


class ForwardFailed(TextmillError):
    """The runtime failed on the batch that a row was in; other batches are not affected."""
