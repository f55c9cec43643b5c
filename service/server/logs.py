"""The log: one line for each event, to standard error, as text or as JSON, with times in UTC.

Input cannot break or forge a line, since control characters are escaped. Every line that is written while a request is
handled has the request's id, even if the code that writes it knows of no request.
"""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from service.config import LogFormat, LogLevel
from service.http.requests import CURRENT_REQUEST_ID


class TextFormatter(logging.Formatter):
    """`time level logger: [request] message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        if request := getattr(record, "request_id", None):
            record.message = f"[{request}] {record.message}"
        return _escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """Indented, so that no line of a traceback, which may quote input, looks like a line of the log."""
        return "\n".join(f"    {_escaped(line)}" for line in super().formatException(ei).splitlines())


class JsonFormatter(logging.Formatter):
    """One object for each line: `time`, `level`, `logger`, `message`, `request_id` if there is one, the `fields` of the
    event, and `error` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := getattr(record, "request_id", None):
            line["request_id"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_logging(form: LogFormat = LogFormat.TEXT, level: LogLevel = LogLevel.INFO) -> None:
    """Log everything from this level up to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else TextFormatter())
    handler.addFilter(_with_request_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # asyncio's debug lines are not about the service.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _escaped(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _with_request_id(record: logging.LogRecord) -> bool:
    if not hasattr(record, "request_id"):
        record.request_id = CURRENT_REQUEST_ID.get(None)
    return True
