"""Structured logs: one line of JSON for each record of the logger ``useid_middleware``.

::

    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logging.getLogger("useid_middleware").addHandler(handler)

:func:`write_json` is what ``log.format = "json"`` does.

What we log holds no token, no secret and nothing about a person. What others raise may: of an exception, the line has
its type and where it came from, and leaves out its words and the values around it.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

#: What every record has; what else is on one was put there by ``extra``.
_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_PLAIN: Final = (str, int, float, bool, type(None))


class JSONFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", "process"}``, what ``extra`` says, and ``exception`` where one is."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line: dict[str, object] = {
            # Ours win: nobody writes the time of an entry but the clock.
            **{name: value for name, value in extra.items() if _is_plain(value)},
            "time": moment.removesuffix("+00:00") + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            frames = traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)
            line["exception"] = kind.__name__
            line["at"] = [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)


def write_json() -> None:
    """Have our logger write JSON to standard error, and there alone: nothing of the app's own logging is touched.

    A level that somebody has set stays. Idempotent.
    """
    logger = logging.getLogger("useid_middleware")
    if any(isinstance(handler.formatter, JSONFormatter) for handler in logger.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)
    logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _is_plain(value: object) -> bool:
    """Whether it can only be what it looks like, all the way down."""
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and _is_plain([*value.values()])
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, _PLAIN)
