"""Structured logs: one JSON object a line on standard error. Knows records, no texts."""

import json
import logging
import sys
from datetime import UTC, datetime

from patclass.errors import StoreError

LOGGER = "patclass.service"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        entry |= getattr(record, "facts", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def reason_of(problem: Exception) -> str:
    """What is said of a failure: the store's own words, else what it is."""
    return str(problem) if isinstance(problem, StoreError) else repr(problem)


def configure() -> None:
    """Send the logs of the service, and warnings of the server below it, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name, level in ((LOGGER, logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
