"""The log of the commands: lines on standard error, as text or JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from textmill.config import without_users
from textmill.telemetry.request import CURRENT


def start_logging(level: str, form: str, *, spans: bool = True) -> None:
    """Log messages of ``level`` and above to standard error. ``form`` is text or json.

    With ``spans`` JSON lines say which trace and which request they belong to.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json(spans=spans) if form == "json" else _Text())
    handler.addFilter(_discreet)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    hub = logging.getLogger("huggingface_hub")
    hub.handlers.clear()
    hub.__class__ = _Handled
    if level == "info":
        # What uvicorn and httpx say of themselves at this level, the ready line says in one.
        for name in ("uvicorn", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)


class _Handled(logging.Logger):
    """A logger to which its library would add a handler when it is imported, so that each line would come twice."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the base class calls it so
        """Leave its lines to the root's handler."""


def _discreet(record: logging.LogRecord) -> bool:
    """Let a line through, one of a library without the users and passwords of addresses: it does not know what is secret."""
    if not str(record.name).startswith("textmill"):
        told = record.getMessage()
        if (bare := without_users(told)) != told:
            record.msg, record.args = bare, ()
    return True


class _Discreet(logging.Formatter):
    """Tracebacks end in what libraries say, so they are told without users and passwords too."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as above
        """The traceback."""
        return without_users(super().formatException(ei))


class _Text(_Discreet):
    """Time, level, name and message; the times of a request stand before the message, as TEI has them."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        span = getattr(record, "span", None)
        record.about = f"{_told(span)}: " if isinstance(span, dict) else ""
        return super().format(record)


class _Json(_Discreet):
    """One JSON object a line, with TEI's keys: timestamp, level, message, target, filename, line_number, span and spans."""

    def __init__(self, *, spans: bool) -> None:
        super().__init__()
        self._spans = spans

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, object] = {
            "timestamp": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            "target": record.name,
            "filename": record.filename,
            "line_number": record.lineno,
        }
        if self._spans:
            fields |= _about(record)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
"""Where Python's names are not those of TEI's log."""


def _about(record: logging.LogRecord) -> dict[str, object]:
    """The span that a line tells of, and the trace that it belongs to."""
    fields: dict[str, object] = {}
    span = getattr(record, "span", None)
    if span is not None:
        fields |= {"span": span, "spans": [span]}
    request = CURRENT.get()
    if request is not None and request.id is not None:
        fields |= {"trace_id": f"{request.id.trace:032x}", "span_id": f"{request.id.span:016x}"}
    return fields


def _told(span: dict[str, str | int]) -> str:
    """A span as text: its name, and its fields in braces, texts in quotes."""
    shown = " ".join(
        f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}"
        for name, value in span.items()
        if name != "name"
    )
    return f"{span['name']}{{{shown}}}"
