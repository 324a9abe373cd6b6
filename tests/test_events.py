"""Events: order, sync and async, isolation, refusal."""

import logging

import pytest

from useid_middleware import Event, Events, Identity, Level, LoginCompleted, LoginSucceeded, QRScanned, Refuse
from useid_middleware.errors import RefusedError

SCANNED = QRScanned(0.0, "session", "device")
SUCCEEDED = LoginSucceeded(0.0, Identity("qr", "device"))


async def test_listeners_run_in_order_sync_and_async_alike() -> None:
    events = Events()
    heard: list[tuple[str, str]] = []

    @events.on(QRScanned)
    def first(event: QRScanned) -> None:
        heard.append(("first", event.device_id))

    @events.on(QRScanned)
    async def second(event: QRScanned) -> None:
        heard.append(("second", event.device_id))

    @events.on(Event)
    def everything(event: Event) -> None:
        heard.append(("everything", type(event).__name__))

    await events.emit(SCANNED)
    assert heard == [("first", "device"), ("second", "device"), ("everything", "QRScanned")]
    heard.clear()
    await events.emit(SUCCEEDED)
    assert heard == [("everything", "LoginSucceeded")]


async def test_a_failing_listener_disturbs_nobody_and_its_words_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = Events()
    heard: list[Event] = []

    @events.on(QRScanned)
    def fails(event: QRScanned) -> None:
        raise RuntimeError("alice's secret")

    @events.on(QRScanned)
    async def hears(event: QRScanned) -> None:
        heard.append(event)

    with caplog.at_level(logging.DEBUG):
        await events.emit(SCANNED)
    assert heard == [SCANNED]
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_listener_may_refuse_where_the_event_allows_it() -> None:
    events = Events()
    heard: list[Event] = []

    @events.on(LoginSucceeded)
    async def refuse(event: LoginSucceeded) -> None:
        raise Refuse("Closed today.")

    events.on(LoginSucceeded)(heard.append)
    with pytest.raises(RefusedError, match="Closed today"):
        await events.emit(SUCCEEDED)
    assert heard == []


async def test_where_a_listener_may_refuse_its_failure_refuses() -> None:
    events = Events()

    @events.on(LoginSucceeded)
    def fails(event: LoginSucceeded) -> None:
        raise KeyError("db")

    with pytest.raises(RefusedError) as caught:
        await events.emit(SUCCEEDED)
    assert "db" not in caught.value.message


async def test_a_refusal_where_none_is_possible_is_logged_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()

    @events.on(LoginCompleted)
    def refuse(event: LoginCompleted) -> None:
        raise Refuse

    await events.emit(LoginCompleted(0.0, "a", "s", Level.L0, "qr"))
    assert "tried to refuse" in caplog.text


async def test_nobody_listening_is_fine() -> None:
    await Events().emit(SUCCEEDED)
