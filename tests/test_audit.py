"""The audit log: what goes in, who waits for it, and what happens when the disk does not play along."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import useid_middleware
from tests.qr.conftest import Clock, World, make_settings, open_world
from tests.test_docs import code, rows
from useid_middleware import (
    AttemptRefused,
    Event,
    Events,
    Identity,
    Level,
    LoginCompleted,
    LoginSucceeded,
    SessionChanged,
    events,
)
from useid_middleware.audit import Audit, audit_of
from useid_middleware.audit.chain import (
    CONTINUED,
    LEFT_OUT,
    LOST,
    REPAIRED,
    STARTED,
    Entry,
    Fault,
    Head,
    read_entry,
    verify,
)
from useid_middleware.audit.entries import AUDITED, NAMES, NOT_AUDITED
from useid_middleware.audit.file import AuditFile, NewEntry, read_lines
from useid_middleware.audit.recording import ATTEMPTS, REFUSAL
from useid_middleware.errors import ConfigurationError, RefusedError
from useid_middleware.settings.monitoring import AuditSettings


class StubbornFile(AuditFile):
    """A log on a disk that is full whenever the test says so."""

    is_full = False

    def append(self, entries: Sequence[NewEntry]) -> Head:
        """The same, or ``ENOSPC``."""
        if self.is_full:
            raise OSError(28, "No space left on device")
        return super().append(entries)


def log_at(path: Path) -> StubbornFile:
    return StubbornFile(path, key=None, fsync=False, max_size=10**9)


def entries(path: Path) -> list[Entry]:
    """What is in a log, verified."""
    lines = [line for _, _, line in read_lines(path)]
    assert verify(lines, key=None).entries == len(lines)
    return [entry for line in lines if (entry := read_entry(line)) is not None]


def names(path: Path) -> list[str]:
    return [entry.event for entry in entries(path)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world(make_settings())
    yield world
    await world.app.useid.stop()


def all_events() -> set[type[Event]]:
    """The events that are emitted: those without subclasses."""
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    return {kind for kind in kinds if not kind.__subclasses__()}


def test_every_event_is_in_the_log_or_named_as_one_that_is_not() -> None:
    assert AUDITED.keys() | NOT_AUDITED == all_events()
    assert not AUDITED.keys() & NOT_AUDITED


#: What no entry may have, by the names that events and identities use.
PERSONAL = {"username", "email", "subject", "sid", "ip", "claims", "roles", "tokens", "secret", "error", "description"}


@pytest.mark.parametrize("kind", AUDITED, ids=lambda kind: kind.__name__)
def test_a_row_of_the_table_names_fields_that_exist_and_nothing_about_people(kind: type[Any]) -> None:
    inner: dict[str, Any] = {"identity": Identity, "account": useid_middleware.Account}
    for field in AUDITED[kind]:
        head, _, rest = field.partition(".")
        assert head in {each.name for each in fields(kind)}
        if rest:
            assert rest in {each.name for each in fields(inner[head])}
        assert (rest or head) not in PERSONAL


def test_the_page_lists_what_is_in_the_log() -> None:
    listed = {name: tuple(code(row[1])) for row in rows("howto/audit.md", skip="") for name in code(row[0])}
    events = {kind.__name__: fields for kind, fields in AUDITED.items()}
    assert {name: members for name, members in listed.items() if name in events} == {
        name: tuple(NAMES.get(field, field.rpartition(".")[2]) for field in fields) + NULLABLE.get(name, ())
        for name, fields in events.items()
    }
    assert listed.keys() - events.keys() == {STARTED, CONTINUED, REPAIRED, LOST, LEFT_OUT, *Fault}
    assert {entry for entry in NOT_AUDITED if entry.__name__ in listed} == set()


#: Where the page says in which case a member is ``null``.
NULLABLE = {"LoginSucceeded": ("null",)}


async def test_a_login_by_phone_is_in_the_log_from_enrolment_to_logout(world: World, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    audit = Audit(world.app.useid.events, log_at(log), refuses=True)
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    digits = (await phone.approve(link)).json()["code"]
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": digits})).status == 200
    assert (await desktop.post("/logout")).status == 204
    await audit.close()
    found = entries(log)
    assert [entry.event for entry in found] == [
        *("log_started", "UserCreated", "LoginSucceeded", "LoginCompleted", "DeviceEnrolled"),
        *("QRApproved", "LoginSucceeded", "LoginCompleted", "SessionEnded"),
    ]
    [approved] = [entry for entry in found if entry.event == "QRApproved"]
    account = approved.data["account_id"]
    assert approved.data == {"session_id": session_id, "device_id": found[4].data["device_id"], "account_id": account}
    assert found[6].data == {"provider": "qr", "level": "L1", "amr": ["pop", "swk", "mca"], "account_id": account}
    assert found[7].data["account_id"] == account
    assert found[8].data == {"account_id": account, "session_id": found[7].data["session_id"], "reason": "logout"}
    assert found[8].at == "2027-01-15T08:00:00.000Z"
    text = log.read_text()
    assert [mark for mark in ("alice", "192.0.2.1", "198.51.100.7", digits, "Berlin") if mark in text] == []


async def test_a_rejection_by_code_is_in_the_log(world: World, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    audit = Audit(world.app.useid.events, log_at(log), refuses=True)
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    digits = (await phone.approve(link)).json()["code"]
    wrong = "000000" if digits != "000000" else "111111"
    for _ in range(5):
        assert (await desktop.post(f"/session/{session_id}/claim", {"code": wrong})).status in (403, 409)
    await audit.close()
    [rejected] = [entry for entry in entries(log) if entry.event == "QRRejected"]
    assert (rejected.data["session_id"], rejected.data["reason"]) == (session_id, "code")


async def test_words_from_outside_that_are_no_code_stay_out(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    for reason in ("login_required", "Erika Mustermann", "erika@example.org", 'a"b\n{', "x" * 201, ""):
        await heard.emit(SessionChanged(0.0, "account", "session", reason))
    await audit.close()
    reasons = [entry.data["reason"] for entry in entries(log)[1:]]
    assert reasons == ["login_required", "(other)", "(other)", "(other)", "(other)", ""]


SUCCEEDED = LoginSucceeded(0.0, Identity("host", "alice"))
COMPLETED = LoginCompleted(0.0, "account", "session", Level.L1, "qr")


async def test_what_comes_at_once_is_all_written(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    await asyncio.gather(*(heard.emit(LoginCompleted(0.0, f"a{n}", "s", Level.L1, "qr")) for n in range(200)))
    await audit.close()
    assert {entry.data.get("account_id") for entry in entries(log)[1:]} == {f"a{n}" for n in range(200)}


async def test_an_entry_is_written_though_whoever_waits_for_it_goes_away(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    waiting = [asyncio.ensure_future(heard.emit(COMPLETED)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await audit.close()
    assert waiting[0].cancelled()
    assert names(log) == ["log_started", *["LoginCompleted"] * 3]


async def test_while_the_disk_is_full_nobody_logs_in_and_the_log_of_the_app_says_why(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[int] = []
    log = tmp_path / "audit.log"
    file = log_at(log)
    audit = Audit(world.app.useid.events, file, refuses=True, on_loss=lost.append)
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    digits = (await phone.approve(link)).json()["code"]
    file.is_full = True
    refused = await desktop.post(f"/session/{session_id}/claim", {"code": digits})
    assert (refused.status, refused.code, refused.json()["message"]) == (403, "login_refused", REFUSAL)
    assert await world.who(desktop) == ""
    assert caplog.messages[-1].endswith("No space left on device")
    assert {record.levelname for record in caplog.records} == {"CRITICAL"}
    file.is_full = False
    # The code was right, so it is not asked for again.
    again_id, link = await world.start(desktop)
    assert (await phone.approve(link)).status == 200
    assert (await desktop.post(f"/session/{again_id}/claim")).status == 200
    await audit.close()
    assert names(log)[-4:] == ["entries_lost", "QRApproved", "LoginSucceeded", "LoginCompleted"]
    [gap] = [entry for entry in entries(log) if entry.event == "entries_lost"]
    # The login and its refusal.
    assert gap.data == {"count": 2}
    assert lost == [1, 1]


async def test_where_losses_are_only_logged_people_log_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    file = log_at(log)
    audit = Audit(heard, file, refuses=False)
    file.is_full = True
    await heard.emit(SUCCEEDED)
    await heard.emit(COMPLETED)
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL] * 2
    file.is_full = False
    await heard.emit(COMPLETED)
    await audit.close()
    assert [(entry.event, entry.data.get("count")) for entry in entries(log)[1:]] == [
        ("entries_lost", 2),
        ("LoginCompleted", None),
    ]


async def test_nothing_is_written_behind_an_entry_that_was_altered(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    await heard.emit(COMPLETED)
    await audit.close()
    log.write_bytes(altered := log.read_bytes().replace(b'"level":"L1"', b'"level":"L3"'))
    with pytest.raises(RefusedError, match="cannot be recorded"):
        await heard.emit(SUCCEEDED)
    await audit.close()
    assert log.read_bytes() == altered


async def test_that_the_log_was_cut_off_is_said_once_at_level_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    await heard.emit(COMPLETED)
    with log.open("r+b") as file:
        file.truncate(100)
    for _ in range(3):
        with pytest.raises(RefusedError, match="cannot be recorded"):
            await heard.emit(SUCCEEDED)
    await audit.close()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    finding = "entry 2, which was there, is not any more; nothing is written behind that"
    assert said == [f"the audit log is not as it was written: {finding}"]
    assert log.stat().st_size == 100


# Attempts that were refused


def attempt(at: float, code: str = "signature_invalid") -> AttemptRefused:
    return AttemptRefused(at, "qr", code, "s")


def attempts(path: Path) -> list[tuple[str, object]]:
    return [
        (str(entry.data["code"]), entry.data.get("count", 1)) for entry in entries(path) if entry.event != "log_started"
    ]


async def test_of_many_refused_attempts_the_log_has_some_and_says_how_many_more_there_were(tmp_path: Path) -> None:
    heard, log, clock = Events(), tmp_path / "audit.log", Clock()
    audit = Audit(heard, log_at(log), refuses=True, clock=clock)
    for _ in range(1000):
        await heard.emit(attempt(clock.now))
    # What is rare is not drowned by what is not.
    await heard.emit(attempt(clock.now, "code_wrong"))
    assert attempts(log) == [("signature_invalid", 1)] * ATTEMPTS + [("code_wrong", 1)]
    clock.advance(59.9)
    await audit.tend()
    assert len(attempts(log)) == ATTEMPTS + 1
    clock.advance(0.1)
    await audit.tend()
    await audit.tend()
    assert attempts(log)[ATTEMPTS + 1 :] == [("signature_invalid", 1000 - ATTEMPTS)]
    assert entries(log)[-1].event == LEFT_OUT
    await heard.emit(attempt(clock.now))
    await audit.close()
    assert attempts(log)[ATTEMPTS + 2 :] == [("signature_invalid", 1)]


async def test_the_next_minute_begins_with_the_attempt_that_comes_after_the_last_one(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    for at in (100.0, 160.0, 30.0):  # The last after a clock was set back.
        for _ in range(ATTEMPTS + 2):
            await heard.emit(attempt(at))
    await audit.close()
    assert attempts(log) == ([("signature_invalid", 1)] * ATTEMPTS + [("signature_invalid", 2)]) * 3


async def test_attempts_at_a_ceremony_are_counted_together_whatever_is_wrong_with_them(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    for number in range(100):
        await heard.emit(attempt(0.0, f"webauthn_cbor_{number}"))
    await audit.close()
    found = attempts(log)
    assert len(found) == ATTEMPTS + 1
    assert found[-1] == ("webauthn_*", 100 - ATTEMPTS)


async def test_attempts_that_come_at_once_are_all_counted(tmp_path: Path) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    audit = Audit(heard, log_at(log), refuses=True)
    for at in (0.0, 60.0):
        await asyncio.gather(*(heard.emit(attempt(at, code)) for code in ("a", "b", "c") for _ in range(50)))
    await audit.close()
    assert sum(int(str(count)) for _, count in attempts(log)) == 300
    assert len(attempts(log)) == 2 * 3 * (ATTEMPTS + 1)


async def test_what_was_left_out_and_could_not_be_written_is_a_loss_like_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard, log = Events(), tmp_path / "audit.log"
    file = log_at(log)
    audit = Audit(heard, file, refuses=True)
    for _ in range(ATTEMPTS + 1):
        await heard.emit(attempt(0.0))
    file.is_full = True
    await heard.emit(attempt(60.0))
    assert [message.split(" (")[0] for message in caplog.messages] == [
        f"the audit log lost an entry {name}" for name in (LEFT_OUT, "AttemptRefused")
    ]
    file.is_full = False
    await audit.close()


# Heads, to be kept elsewhere


def heads(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.head for record in caplog.records if hasattr(record, "head")]


async def test_the_head_is_told_at_the_start_at_the_end_and_every_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useid_middleware")
    heard, log, clock = Events(), tmp_path / "audit.log", Clock()
    audit = Audit(heard, log_at(log), refuses=True, clock=clock)
    await audit.open()
    [begun] = entries(log)
    assert heads(caplog) == [f"1:{begun.hash}"]
    await heard.emit(COMPLETED)
    for _ in range(61):
        await audit.tend()
        clock.advance(60)
    assert heads(caplog)[1:] == [str(entries(log)[-1].head)]
    await heard.emit(COMPLETED)
    await audit.close()
    await audit.close()
    assert [head.partition(":")[0] for head in heads(caplog)] == ["1", "2", "3"]
    last = Head.parse(heads(caplog)[-1])
    assert verify([line for _, _, line in read_lines(log)], key=None, expected_head=last).head == last
    assert caplog.messages[-1] == f"the audit log has the head {last}"


async def test_that_an_idle_log_was_cut_off_is_noticed_within_the_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, clock = tmp_path / "audit.log", Clock()
    audit = Audit(Events(), log_at(log), refuses=True, clock=clock)
    await audit.open()
    log.write_bytes(b"")
    clock.advance(3600)
    await audit.tend()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    await audit.close()
    assert log.read_bytes() == b""
    assert len(caplog.records) == 1


async def test_a_log_that_cannot_be_read_at_the_hour_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, clock = tmp_path / "log", Clock()
    folder.mkdir()
    audit = Audit(Events(), log_at(folder / "audit.log"), refuses=True, clock=clock)
    await audit.open()
    (folder / "audit.log").unlink()
    folder.rmdir()
    clock.advance(3600)
    await audit.tend()
    assert caplog.messages == ["the audit log cannot be written: No such file or directory"]
    await audit.close()


def settings(tmp_path: Path, **values: Any) -> AuditSettings:
    return AuditSettings(file=tmp_path / "audit.log", **values)


def test_without_a_file_there_is_no_log() -> None:
    assert audit_of(AuditSettings(), Events()) is None


async def test_a_log_that_cannot_be_made_is_known_before_the_first_login(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "nowhere" / "audit.log"
    strict = audit_of(AuditSettings(file=nowhere), Events())
    lenient = audit_of(AuditSettings(file=nowhere, on_error="log"), Events())
    assert strict is not None
    assert lenient is not None
    with pytest.raises(ConfigurationError, match=r"audit\.file cannot be written: No such file"):
        await strict.open()
    assert caplog.records == []
    await lenient.open()
    assert caplog.messages == ["the audit log cannot be written: No such file or directory"]


async def test_a_log_that_was_written_with_another_key_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32 + "\n")
    (tmp_path / "other").write_text("o" * 64)
    heard = Events()
    audit = audit_of(settings(tmp_path, key_file=tmp_path / "key"), heard)
    assert audit is not None
    await audit.open()
    await heard.emit(COMPLETED)
    await audit.close()
    for values in ({}, {"key_file": tmp_path / "other"}):
        other = audit_of(settings(tmp_path, **values), Events())
        assert other is not None
        with pytest.raises(ConfigurationError, match="its hash is not that of its content"):
            await other.open()
    assert verify([line for _, _, line in read_lines(tmp_path / "audit.log")], key=b"k" * 32).entries == 2


@pytest.mark.parametrize("content", [None, b"", b"short", b" " * 40])
def test_a_key_that_is_none_is_refused_when_the_plugin_is_built(tmp_path: Path, content: bytes | None) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"audit\.key_file"):
        audit_of(settings(tmp_path, key_file=key), Events())
