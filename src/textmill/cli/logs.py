"""The log of the commands: lines on standard error, as text or JSON."""

from __future__ import annotations

import json
import logging


def start_logging(level: str, form: str) -> None:
    """Log messages of ``level`` and above to standard error. ``form`` is text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level == "info":
        # What uvicorn and httpx say of themselves at this level, the ready line says in one.
        for name in ("uvicorn", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
