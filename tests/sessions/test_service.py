"""Login sessions: one secret, two expiries, lists and revocation."""

import pytest

from tests.qr.conftest import Clock
from useid_middleware import Events, Identity, Level, SessionEnded, SessionSettings
from useid_middleware.accounts.base import Account
from useid_middleware.sessions.service import Sessions
from useid_middleware.stores.memory import MemoryStore

ALICE = Account("alice-id", "alice", 0)
BOB = Account("bob-id", "bob", 0)
IDENTITY = Identity("host", "alice", level=Level.L1, amr=("pop",))


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def ended() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def sessions(clock: Clock, ended: list[tuple[str, str]]) -> Sessions:
    events = Events()
    events.on(SessionEnded)(lambda event: ended.append((event.session_id, event.reason)))
    settings = SessionSettings(idle_lifetime=100, absolute_lifetime=300)
    return Sessions(store=MemoryStore(clock=clock), settings=settings, events=events, clock=clock)


async def test_the_secret_opens_the_session_and_the_public_id_does_not(sessions: Sessions) -> None:
    token, session = await sessions.create(ALICE, IDENTITY, ip="192.0.2.1", browser="Firefox")
    assert await sessions.load(token) == session
    assert await sessions.load(session.id) is None
    assert (session.account_id, session.username) == ("alice-id", "alice")
    assert (session.level, session.amr) == (Level.L1, ("pop",))
    for wrong in ("", "x", token + "=", token[:-1], "é" * 43, token.swapcase()):
        assert await sessions.load(wrong) is None


async def test_no_two_sessions_share_a_secret(sessions: Sessions) -> None:
    tokens = {(await sessions.create(ALICE, IDENTITY))[0] for _ in range(50)}
    assert len(tokens) == 50


async def test_an_idle_session_ends_to_the_instant(sessions: Sessions, clock: Clock) -> None:
    token, _ = await sessions.create(ALICE, IDENTITY)
    clock.now = 1099.999
    assert await sessions.load(token) is not None
    clock.now = 1099.999 + 100
    assert await sessions.load(token) is None


async def test_a_session_in_use_ends_at_its_absolute_end(sessions: Sessions, clock: Clock) -> None:
    token, _ = await sessions.create(ALICE, IDENTITY)
    for now in range(1050, 1300, 50):
        clock.now = now
        assert await sessions.load(token) is not None
    clock.now = 1299.999
    assert await sessions.load(token) is not None
    clock.now = 1300
    assert await sessions.load(token) is None


async def test_use_is_written_down_now_and_then_alone(sessions: Sessions, clock: Clock) -> None:
    token, first = await sessions.create(ALICE, IDENTITY)
    clock.now = 1009.9
    assert await sessions.load(token) == first
    clock.now = 1010
    noted = await sessions.load(token)
    assert noted is not None
    assert noted.last_seen_at == 1010


async def test_an_account_lists_its_own_sessions_newest_first(sessions: Sessions, clock: Clock) -> None:
    made = []
    for _ in range(3):
        clock.now += 1
        made.append((await sessions.create(ALICE, IDENTITY))[1])
    await sessions.create(BOB, IDENTITY)
    assert await sessions.of_account("alice-id") == made[::-1]
    clock.now += 101
    assert await sessions.of_account("alice-id") == []


async def test_one_is_ended_once(sessions: Sessions, ended: list[tuple[str, str]]) -> None:
    token, session = await sessions.create(ALICE, IDENTITY)
    other, _ = await sessions.create(ALICE, IDENTITY)
    assert await sessions.end(session, reason="revoked")
    assert not await sessions.end(session, reason="revoked")
    assert await sessions.load(token) is None
    assert await sessions.load(other) is not None
    assert ended == [(session.id, "revoked")]


async def test_all_are_ended_but_the_one_to_keep(sessions: Sessions) -> None:
    tokens = [await sessions.create(ALICE, IDENTITY) for _ in range(3)]
    bobs, _ = await sessions.create(BOB, IDENTITY)
    assert await sessions.end_account("alice-id", reason="revoked", keep=tokens[1][1].id) == 2
    assert [await sessions.load(token) is not None for token, _ in tokens] == [False, True, False]
    assert await sessions.load(bobs) is not None


async def test_the_sessions_of_a_phone_end_with_it(sessions: Sessions) -> None:
    from dataclasses import replace

    by_phone, _ = await sessions.create(ALICE, replace(IDENTITY, device_id="phone-1"))
    by_other, _ = await sessions.create(ALICE, replace(IDENTITY, device_id="phone-2"))
    assert await sessions.end_device("phone-1", reason="revoked") == 1
    assert await sessions.load(by_phone) is None
    assert await sessions.load(by_other) is not None


async def test_a_use_at_the_same_time_does_not_bring_an_ended_session_back(sessions: Sessions, clock: Clock) -> None:
    token, session = await sessions.create(ALICE, IDENTITY)
    clock.now += 20
    await sessions.end(session, reason="logout")
    assert await sessions.load(token) is None
    assert await sessions.of_account("alice-id") == []


ISSUER = "https://sso.example"
BY_PROVIDER = Identity(ISSUER, "ada", sid="sid-1", secret=b"refresh-token-123")


async def test_sessions_of_a_provider_are_found_by_subject_and_by_sid(sessions: Sessions) -> None:
    _, first = await sessions.create(ALICE, BY_PROVIDER)
    _, second = await sessions.create(ALICE, Identity(ISSUER, "ada", sid=""))
    await sessions.create(ALICE, Identity("qr", "device"))
    assert {each.id for each in await sessions.of_subject(ISSUER, "ada")} == {first.id, second.id}
    assert [each.id for each in await sessions.of_sid(ISSUER, "sid-1")] == [first.id]
    assert await sessions.of_sid(ISSUER, "") == []
    assert await sessions.of_sid("https://other.example", "sid-1") == []
    assert await sessions.of_subject(ISSUER, "sid-1") == []


async def test_what_a_session_keeps_secret_opens_with_its_token_alone(clock: Clock) -> None:
    store = MemoryStore(clock=clock)
    sessions = Sessions(store=store, settings=SessionSettings(), events=Events(), clock=clock)
    token, session = await sessions.create(ALICE, BY_PROVIDER)
    other, _ = await sessions.create(ALICE, BY_PROVIDER)
    found = await sessions.secret(session, token)
    assert found is not None
    assert found.value == b"refresh-token-123"
    assert await sessions.secret(session, other) is None
    kept = await store.get(f"session-secret:{session.id}")
    assert kept is not None
    assert b"refresh-token" not in kept.value


async def test_a_secret_is_replaced_in_one_step_and_goes_with_its_session(sessions: Sessions) -> None:
    token, session = await sessions.create(ALICE, BY_PROVIDER)
    assert await sessions.replace_secret(session, token, b"new", expected_version=1)
    assert not await sessions.replace_secret(session, token, b"late", expected_version=1)
    found = await sessions.secret(session, token)
    assert found is not None
    assert found.value == b"new"
    await sessions.end(session, reason="logout")
    assert await sessions.secret(session, token) is None
    assert not await sessions.replace_secret(session, token, b"x", expected_version=2)


async def test_whoever_watches_a_session_is_told_why_it_ended(sessions: Sessions) -> None:
    _, session = await sessions.create(ALICE, IDENTITY)
    heard: list[bytes | None] = []
    unsubscribe = await sessions.watch(session, heard.append)
    await sessions.end_account("alice-id", reason="backchannel_logout")
    assert heard == [b"backchannel_logout"]
    assert await sessions.seconds_left(session) == 0
    await unsubscribe()


async def test_a_session_that_is_used_elsewhere_lives_on(sessions: Sessions, clock: Clock) -> None:
    token, session = await sessions.create(ALICE, IDENTITY)
    assert await sessions.seconds_left(session) == 100
    clock.now += 60
    await sessions.load(token)
    clock.now += 10
    assert await sessions.seconds_left(session) == 90
