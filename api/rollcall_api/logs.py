"""Logs: one JSON object per line on standard error, without anything that a client sent."""

import logging
import sys
from datetime import UTC, datetime

import orjson


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object; of an exception it shows its type and where it came from, not its text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = record.exc_info[0].__name__
            frames = record.exc_info[2]
            if frames is not None:
                entry["where"] = _innermost(frames)
        return orjson.dumps(entry, default=str).decode()


def _innermost(frames: object) -> str:
    while (following := getattr(frames, "tb_next", None)) is not None:
        frames = following
    code = frames.tb_frame.f_code  # type: ignore[attr-defined]
    return f"{code.co_filename.rpartition('/')[2]}:{frames.tb_lineno} in {code.co_name}"  # type: ignore[attr-defined]


def configure(level: str) -> None:
    """Sends all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
