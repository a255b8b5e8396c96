"""Logs as text for people or as JSON for machines, one line an event, on the standard library's logging."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

_ENCODER = json.JSONEncoder(default=str)  # made once: every request has a line with a dozen values

FIELDS = "fields"  # the attribute of a record that holds what belongs to an event besides its message


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, the event's own fields, and `error` where there was an exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return _ENCODER.encode(entry)


class TextFormatter(logging.Formatter):
    """The same for people: what the message does not say stands behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        message, *rest = super().format(record).split("\n")
        fields = [f"{name}={_text(value)}" for name, value in getattr(record, FIELDS, {}).items()]
        return "\n".join((" ".join((message, *fields)), *rest))


def _text(value: object) -> str:
    return repr(value) if type(value) in (int, float) else _ENCODER.encode(value)  # the encoder is slow with numbers


def configure_logs(form: LogFormat) -> None:
    """Send everything from INFO on to standard error in this form. For the process of a server alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def with_fields(**fields: object) -> dict[str, dict[str, object]]:
    """`extra` of a call of the logger."""
    return {FIELDS: fields}
