"""Structured logs: one line of JSON for each record, and none of the words of others."""

import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from tests.qr.conftest import make_settings, open_world
from tests.test_docs import page
from useid_middleware import Events
from useid_middleware.events import QRExpired
from useid_middleware.json_logs import JSONFormatter, write_json

logger = logging.getLogger("useid_middleware")


def test_the_pages_own_lines_write_json(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page("howto/metrics.md"), re.S)
    (block,) = (each for each in blocks if "JSONFormatter()" in each)
    names: dict[str, Any] = {}
    exec(compile(block, "metrics.md", "exec"), names)
    logger.warning("said")
    logger.removeHandler(names["handler"])
    assert json.loads(capsys.readouterr().err)["message"] == "said"


@pytest.fixture
def written() -> Iterator[StringIO]:
    """What our logger writes through the formatter."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.fixture
def our_logger() -> Iterator[logging.Logger]:
    """Our logger, afterwards as it was."""
    yield logger
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


async def test_a_setting_has_a_login_and_its_refusals_written_and_leaves_the_app_alone(
    our_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = [*root.handlers], root.level
    world = await open_world(make_settings(log={"format": "json"}))
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    for digits in ("000000" if code != "000000" else "111111", code):
        await desktop.post(f"/session/{session_id}/claim", {"code": digits})
    await world.app.useid.stop()
    await world.app.useid.start()  # Started again, it does not say things twice.
    await desktop.post("/session/create", {"appName": "Another"})
    await world.app.useid.stop()
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["logger"], line["event"]) for line in told] == [
        ("INFO", "useid_middleware.events", event)
        for event in (
            *("UserCreated", "LoginSucceeded", "LoginCompleted", "DeviceEnrolled", "QRApproved", "AttemptRefused"),
            *("LoginSucceeded", "LoginCompleted", "RequestRefused"),
        )
    ]
    assert told[5]["data"] == {"flow": "qr", "code": "code_wrong", "session_id": session_id}
    assert told[6]["data"].pop("account_id") == told[7]["data"]["account_id"]
    assert told[6]["data"] == {"provider": "qr", "level": "L1", "amr": ["pop", "swk", "mca"]}
    assert told[7]["message"].startswith("LoginCompleted account_id=")
    assert ([*root.handlers], root.level) == before


def test_the_setting_leaves_a_level_that_somebody_has_set(our_logger: logging.Logger) -> None:
    our_logger.setLevel(logging.ERROR)
    write_json()
    write_json()
    assert (our_logger.level, our_logger.propagate, len(our_logger.handlers)) == (logging.ERROR, False, 1)


async def test_without_the_setting_our_logger_is_as_it_was() -> None:
    world = await open_world(make_settings())
    await world.app.useid.start()
    await world.app.useid.stop()
    assert (logger.handlers, logger.propagate, logger.level) == ([], True, logging.NOTSET)


def test_plain_values_are_told_all_the_way_down_and_others_not_at_all(written: StringIO) -> None:
    logger.error("said", extra={"plain": {"a": [1, None, {"b": "c"}]}, "not": {"a": [object()]}, "nor": {1: 2}})
    [line] = lines(written)
    assert line["plain"] == {"a": [1, None, {"b": "c"}]}
    assert not {"not", "nor"} & line.keys()


def lines(written: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_record_is_one_line_of_json(written: StringIO) -> None:
    logger.warning("login at provider %s failed: %s\nsecond line", "staff", "stäte_unknown", extra={"tenant": "shop"})
    [line] = lines(written)
    assert list(line) == ["tenant", "time", "level", "logger", "message", "process"]
    assert line["message"] == "login at provider staff failed: stäte_unknown\nsecond line"
    assert (line["level"], line["logger"], line["tenant"]) == ("WARNING", "useid_middleware", "shop")
    assert isinstance(line["process"], int)


def test_the_time_is_utc_to_the_millisecond() -> None:
    record = logging.LogRecord("useid_middleware", logging.INFO, "", 0, "said", (), None)
    record.created = 1_800_000_000.0625
    assert json.loads(JSONFormatter().format(record))["time"] == "2027-01-15T08:00:00.062Z"


def test_nobody_sets_our_fields_and_what_is_no_plain_value_is_left_out(written: StringIO) -> None:
    logger.error("said", extra={"time": "yesterday", "level": "none", "request": object(), "count": 3})
    [line] = lines(written)
    assert line["time"] != "yesterday"
    assert (line["level"], line["count"]) == ("ERROR", 3)
    assert "request" not in line


def test_of_an_exception_the_type_and_the_place_are_told_and_never_its_words(written: StringIO) -> None:
    secret = "hunter2"

    def fails() -> None:
        raise RuntimeError(f"password {secret}")

    try:
        fails()
    except RuntimeError:
        logger.exception("a job failed")
    [line] = lines(written)
    assert line["exception"] == "RuntimeError"
    places = line["at"]
    assert isinstance(places, list)
    assert [place.split(":")[0] for place in places] == ["test_json_logs.py"] * 2
    assert places[-1].endswith(" fails")
    assert secret not in written.getvalue()


async def test_a_listener_that_fails_is_a_line_without_its_words(written: StringIO) -> None:
    events = Events()

    @events.on(QRExpired)
    def fails(event: QRExpired) -> None:
        raise ValueError("alice@example.org")

    await events.emit(QRExpired(0.0, "session"))
    [line] = lines(written)
    assert line["message"] == "listener for QRExpired failed with ValueError"
