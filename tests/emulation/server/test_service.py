"""The embedded eID server as its eService and its clients meet it: limits, counters, deadlines, and what is at rest."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.emulation.card.world import NOW, stream
from tests.emulation.server.world import (
    CANCELLED,
    EVERYTHING,
    OK,
    ORIGIN,
    PSEUDONYM,
    Client,
    card_of,
    pki,
    with_body,
    with_data,
)
from useid_middleware._sealing import seal
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, UseIDSession, Wish
from useid_middleware.eid.core.results import ClientMinor, Minor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard
from useid_middleware.emulation.paos import Result, decode, encode
from useid_middleware.emulation.pki import DEFAULT_RIGHTS, PKI, TerminalRequest, issue_terminal
from useid_middleware.emulation.server.material import ServerMaterial, Terminals, material_of
from useid_middleware.emulation.server.names import psk_id_of
from useid_middleware.emulation.server.service import INDEX, EmbeddedEIDServer
from useid_middleware.emulation.server.session import Variant
from useid_middleware.errors import EIDServerError, StateError, UnavailableError
from useid_middleware.stores.base import Versioned
from useid_middleware.stores.memory import MemoryStore

LIFETIME = 300


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


class WatchedStore(MemoryStore):
    """Remembers all that was ever written, and lets something happen before a change."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.written: list[bytes] = []
        self.before_replace: Callable[[], Awaitable[object]] | None = None
        self.loses = False

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        self.written += [key.encode(), value, *(each.encode() for each in indexes)]
        return await super().put(key, value, ttl=ttl, indexes=indexes)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        self.written += [key.encode(), value]
        if self.loses:
            return False
        happening, self.before_replace = self.before_replace, None
        if happening is not None:
            await happening()
        return await super().replace(key, value, expected_version=expected_version, ttl=ttl, message=message)

    async def take(self, key: str) -> Versioned | None:
        happening, self.before_replace = self.before_replace, None
        if happening is not None:
            await happening()
        return await super().take(key)


class World:
    """A server, another worker beside it, their store and clock, and who was told that sessions ended."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.store = WatchedStore(self.clock)
        self.ended: list[tuple[str, str]] = []
        self.server = self.worker("server", **options)

    def worker(self, label: str, *, made: PKI | Terminals | None = None, **options: Any) -> EmbeddedEIDServer:
        return EmbeddedEIDServer(
            self.store,
            made or pki(),
            clock=self.clock,
            random_bytes=stream(label),
            session_lifetime=LIFETIME,
            on_end=options.pop("on_end", self.note),
            **options,
        )

    async def note(self, session_id: str, minor: str) -> None:
        self.ended.append((session_id, minor))


def client_of(session: UseIDSession, card: Card | FaultyCard | None = None, **options: Any) -> Client:
    return Client(session.psk_id or session.id, card or card_of(), **options)


async def log_in(client: Client, *servers: EmbeddedEIDServer) -> Result:
    """The dialogue to its end, each message at the next of the servers: what StartPAOSResponse says."""
    message = client.start()
    while True:
        server = servers[len(client.sent) % len(servers)]
        answer = decode(await server.answer_paos(encode(message)))
        if isinstance(answer.body, paos.StartPAOSResponse):
            return answer.body.result
        message = client.respond(answer)


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(EIDServerError) as caught:
        await call
    return caught.value.minor


# --- From useID to getResult


async def test_a_login_from_use_id_to_get_result() -> None:
    world = World(address=f"{ORIGIN}/eid/paos")
    session = await world.server.use_id(EVERYTHING)
    assert session.ecard_server_address == f"{ORIGIN}/eid/paos"
    assert await log_in(client_of(session), world.server) == OK
    result = await world.server.get_result(session.id, counter=1)
    assert result.personal_data.family_names == "MUSTERMANN"
    assert world.ended == [(session.id, "")]


@pytest.mark.parametrize("variant", [Variant.DIRECT, Variant(7)])
async def test_any_worker_answers_the_next_message(variant: Variant) -> None:
    world = World(variant=variant)
    others = world.worker("second"), world.worker("third", variant=Variant.INITIALIZE_FRAMEWORK)
    session = await world.server.use_id(EVERYTHING)
    assert await log_in(client_of(session), world.server, *others) == OK
    assert (await others[0].get_result(session.id, counter=1)).personal_data.given_names == "ERIKA"


@pytest.mark.parametrize("value", [b"", b"\xff\xfe garbage", b"\xc0", b"\x80"])
@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_session_that_cannot_be_read_is_none(value: bytes, is_sealed: bool) -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    [key] = await world.store.find(INDEX)
    if is_sealed:  # By a worker of another version.
        value = seal(value, secret=psk_id_of(session.id).encode(), purpose=b"eid-session", nonce=bytes(12))
    assert await world.store.replace(key, value, expected_version=1, ttl=LIFETIME)
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION
    assert (await log_in(client_of(session), world.server)).major != OK.major


async def test_a_result_is_delivered_once() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    await log_in(client_of(session), world.server)
    await world.server.get_result(session.id, counter=1)
    assert await refused(world.server.get_result(session.id, counter=2)) == Minor.INVALID_SESSION
    assert await world.store.find(INDEX) == []


async def test_of_two_who_ask_at_once_one_is_told() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    await log_in(client_of(session), world.server)
    got: list[object] = []

    async def other() -> None:
        got.append(await world.worker("other").get_result(session.id, counter=1))

    world.store.before_replace = other
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION
    assert len(got) == 1


async def test_before_the_end_there_is_no_result_yet_and_the_counter_goes_on() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    for counter in (1, 2):
        assert await refused(world.server.get_result(session.id, counter=counter)) == Minor.NO_RESULT_YET
    await log_in(client_of(session), world.server)
    assert (await world.server.get_result(session.id, counter=3)).personal_data.restricted_id is not None


@pytest.mark.parametrize("counter", [0, 1, 3, -1, 2**40])
async def test_a_counter_that_is_not_the_next_ends_the_session(counter: int) -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.NO_RESULT_YET
    assert await refused(world.server.get_result(session.id, counter=counter)) == Minor.INVALID_COUNTER
    assert await refused(world.server.get_result(session.id, counter=2)) == Minor.INVALID_SESSION
    assert world.ended == [(session.id, Minor.INVALID_COUNTER)]
    assert (await log_in(client_of(session), world.server)).minor == ClientMinor.INTERNAL_ERROR


async def test_a_wrong_counter_forgets_a_result_that_waits() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    await log_in(client_of(session), world.server)
    assert await refused(world.server.get_result(session.id, counter=2)) == Minor.INVALID_COUNTER
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION
    assert world.ended == [(session.id, "")]


async def test_nobody_gets_the_result_of_anothers_session() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM, owner="shop")
    await log_in(client_of(session), world.server)
    for owner in ("", "other"):
        assert await refused(world.server.get_result(session.id, counter=1, owner=owner)) == Minor.INVALID_SESSION
    await world.server.end(session.id, owner="other")
    await world.server.get_result(session.id, counter=1, owner="shop")


async def test_the_clients_name_of_a_session_gets_no_result() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    await log_in(client_of(session), world.server)
    for name in (session.psk_id, "", "x", "." + session.psk_id, session.id + ".AA", session.id[:-1], "ü"):
        assert await refused(world.server.get_result(name, counter=1)) == Minor.INVALID_SESSION
    await world.server.get_result(session.id, counter=1)


# --- useID


REFUSED: dict[str, tuple[UseIDRequest, Minor]] = {
    "more than the terminal may": (
        UseIDRequest({Operation.RESIDENCE_PERMIT_I: Wish.REQUIRED}),
        Minor.MISSING_TERMINAL_RIGHTS,
    ),
    "an age without a number": (UseIDRequest({Operation.AGE_VERIFICATION: Wish.ALLOWED}), Minor.MISSING_ARGUMENT),
    "a place without a community": (
        UseIDRequest({Operation.PLACE_VERIFICATION: Wish.ALLOWED}),
        Minor.MISSING_ARGUMENT,
    ),
    "an age nobody reaches": (replace(EVERYTHING, age=999), Minor.SCHEMA_VIOLATION),
    "an age below one": (replace(EVERYTHING, age=-1), Minor.SCHEMA_VIOLATION),
    "a community in letters": (replace(EVERYTHING, community_id="KÖLN"), Minor.SCHEMA_VIOLATION),
    "half a byte of a community": (replace(EVERYTHING, community_id="027"), Minor.SCHEMA_VIOLATION),
    "a transaction without end": (replace(PSEUDONYM, transaction_info="x" * 2049), Minor.SCHEMA_VIOLATION),
    "an odd PSK": (replace(PSEUDONYM, psk="A" * 33), Minor.INVALID_PSK),
    "a short PSK": (replace(PSEUDONYM, psk="A" * 30), Minor.INVALID_PSK),
    "a long PSK": (replace(PSEUDONYM, psk="A" * 514), Minor.INVALID_PSK),
    "a PSK that is not hexadecimal": (replace(PSEUDONYM, psk="G" * 32), Minor.INVALID_PSK),
    "a PSK's name without the PSK": (replace(PSEUDONYM, psk_id="name"), Minor.INVALID_PSK),
    "a PSK's name without end": (replace(PSEUDONYM, psk="A" * 32, psk_id="x" * 129), Minor.INVALID_PSK),
    "a PSK's name with a line break": (replace(PSEUDONYM, psk="A" * 32, psk_id="a\nb"), Minor.INVALID_PSK),
}


def few_rights() -> PKI:
    """A terminal that may do all but read residence permits."""
    request = TerminalRequest(rights=DEFAULT_RIGHTS & ~(1 << 26), subject_url=ORIGIN)
    return issue_terminal(pki(), "eid-server", request=request, now=NOW, random=stream("few"))


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_served_is_refused_and_opens_no_session(name: str) -> None:
    request, expected = REFUSED[name]
    world = World(made=few_rights())
    if expected is not Minor.MISSING_TERMINAL_RIGHTS:
        operations: dict[Operation, Wish] = {
            each: wish for each, wish in request.operations.items() if each != Operation.RESIDENCE_PERMIT_I
        }
        request = replace(request, operations=operations)
    assert await refused(world.server.use_id(request)) == expected
    assert await world.store.find(INDEX) == []


async def test_prohibited_operations_take_no_right() -> None:
    world = World(made=few_rights())
    request = UseIDRequest({Operation.RESIDENCE_PERMIT_I: Wish.PROHIBITED, Operation.RESTRICTED_ID: Wish.REQUIRED})
    session = await world.server.use_id(request)
    await log_in(client_of(session), world.server)
    result = await world.server.get_result(session.id, counter=1)
    assert Operation.RESIDENCE_PERMIT_I not in result.operations_allowed_by_user


async def test_a_psk_is_made_where_none_is_given() -> None:
    world = World()
    first, second = await world.server.use_id(PSEUDONYM), await world.server.use_id(PSEUDONYM)
    assert len(bytes.fromhex(first.psk)) == 32
    assert len({first.psk, second.psk, first.psk_id, second.psk_id, first.id, second.id}) == 6


async def test_a_psk_of_the_service_is_taken_with_its_name() -> None:
    world = World()
    request = replace(PSEUDONYM, psk="0123456789abcdef" * 2, psk_id="shop 17")
    session = await world.server.use_id(request)
    assert (session.psk, session.psk_id) == (request.psk, "shop 17")
    assert await refused(world.server.use_id(request)) == Minor.INVALID_PSK
    assert await log_in(client_of(session), world.server) == OK
    await world.server.get_result(session.id, counter=1)
    await world.server.use_id(request)


async def test_sessions_are_bounded_over_all_workers_and_make_room_when_they_end() -> None:
    world = World(max_sessions=2)
    other = world.worker("other", max_sessions=2)
    session = await world.server.use_id(PSEUDONYM)
    await other.use_id(PSEUDONYM)
    for server in (world.server, other):
        assert await refused(server.use_id(PSEUDONYM)) == Minor.TOO_MANY_OPEN_SESSIONS
    await log_in(client_of(session), world.server)
    assert await refused(other.use_id(PSEUDONYM)) == Minor.TOO_MANY_OPEN_SESSIONS
    await other.get_result(session.id, counter=1)
    await other.use_id(PSEUDONYM)
    assert await refused(other.use_id(PSEUDONYM)) == Minor.TOO_MANY_OPEN_SESSIONS
    world.clock.now += LIFETIME
    await other.use_id(PSEUDONYM)


async def test_the_server_says_what_its_certificate_allows() -> None:
    world = World(made=few_rights())
    info = await world.server.get_server_info()
    assert info.version
    assert {each for each, wish in info.rights.items() if wish is Wish.PROHIBITED} == {Operation.RESIDENCE_PERMIT_I}
    assert set(info.rights) == set(Operation)


# --- Time


async def test_a_dialogue_that_pauses_too_long_has_failed() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    world.clock.now += LIFETIME - 1
    answer = decode(await world.server.answer_paos(encode(client.start())))
    world.clock.now += LIFETIME - 1
    answer = decode(await world.server.answer_paos(encode(client.respond(answer))))
    assert isinstance(answer.body, paos.DIDAuthenticate)
    world.clock.now += LIFETIME
    answer = decode(await world.server.answer_paos(encode(client.respond(answer))))
    assert isinstance(answer.body, paos.StartPAOSResponse)
    assert answer.body.result.minor == ClientMinor.INTERNAL_ERROR
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION


async def test_asking_for_the_result_does_not_keep_a_session_alive() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    world.clock.now += LIFETIME - 1
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.NO_RESULT_YET
    world.clock.now += 1
    assert await refused(world.server.get_result(session.id, counter=2)) == Minor.INVALID_SESSION


async def test_a_result_that_nobody_fetches_is_forgotten() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    await log_in(client_of(session), world.server)
    world.clock.now += LIFETIME
    assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION


class Renewing:
    """Terminals of which the first is replaced by the second, as if another worker had renewed it."""

    def __init__(self, *terminals: PKI) -> None:
        self.known = [material_of(each) for each in terminals]
        self.asked: list[str] = []

    async def for_origin(self, origin: str = "") -> ServerMaterial:
        self.asked.append(origin)
        return self.known[0]

    async def named(self, reference: str) -> ServerMaterial | None:
        return next((each for each in self.known if each.reference == reference), None)


async def test_a_session_goes_on_with_the_terminal_that_it_began_with() -> None:
    terminals = Renewing(pki(), few_rights())
    world = World(made=terminals)
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    answer = decode(await world.server.answer_paos(encode(client.start()), origin=ORIGIN))
    terminals.known.reverse()
    while not isinstance(answer.body, paos.StartPAOSResponse):
        answer = decode(await world.server.answer_paos(encode(client.respond(answer)), origin=ORIGIN))
    assert answer.body.result == OK
    # Once for useID and once for StartPAOS; no message after that asks by origin.
    assert terminals.asked == ["", ORIGIN]


async def test_a_session_whose_terminal_is_no_more_ends() -> None:
    terminals = Renewing(pki(), few_rights())
    world = World(made=terminals)
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    answer = decode(await world.server.answer_paos(encode(client.start())))
    terminals.known.pop(0)
    answer = decode(await world.server.answer_paos(encode(client.respond(answer))))
    assert isinstance(answer.body, paos.StartPAOSResponse)
    assert world.ended == [(session.id, Minor.INTERNAL_ERROR)]


async def test_the_server_says_at_its_start_that_it_is_for_tests(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    await world.server.open()
    assert "for development and test" in caplog.text
    await world.server.close()


# --- Failures


@pytest.mark.parametrize(
    ("options", "card", "expected", "told"),
    [
        ({}, "revoked", Minor.INVALID_DOCUMENT, Minor.INVALID_DOCUMENT),
        ({"tampers": {2: with_data(token=bytes(8))}}, "erika", Minor.INVALID_DOCUMENT, Minor.INVALID_DOCUMENT),
        ({"tampers": {1: with_data(chat=b"")}}, "erika", Minor.INTERNAL_ERROR, Minor.INTERNAL_ERROR),
        (
            {"tampers": {1: with_body(paos.DIDAuthenticateResponse(CANCELLED, None))}},
            "erika",
            Minor.INTERNAL_ERROR,
            ClientMinor.CANCELLATION_BY_USER,
        ),
    ],
)
async def test_a_failed_session_says_why_once(options: dict[str, Any], card: str, expected: str, told: str) -> None:
    world = World()
    session = await world.server.use_id(EVERYTHING)
    assert (await log_in(client_of(session, card_of(card), **options), world.server)).major == CANCELLED.major
    assert world.ended == [(session.id, told)]
    assert await refused(world.server.get_result(session.id, counter=1)) == expected
    assert await refused(world.server.get_result(session.id, counter=2)) == Minor.INVALID_SESSION


async def test_a_challenge_that_was_used_in_another_session_is_refused() -> None:
    world = World()
    first, second = await world.server.use_id(PSEUDONYM), await world.server.use_id(PSEUDONYM)
    assert await log_in(client_of(first), world.server) == OK
    assert (await log_in(client_of(second), world.server)).minor == ClientMinor.INCORRECT_PARAMETER
    assert await refused(world.server.get_result(second.id, counter=1)) == Minor.INTERNAL_ERROR
    third = await world.server.use_id(PSEUDONYM)
    assert await log_in(client_of(third, card_of(label="another")), world.server) == OK


async def test_in_one_session_the_challenge_may_come_again_where_the_signature_waits_for_it() -> None:
    world = World(variant=Variant.EAC_ADDITIONAL)
    for number, fresh in enumerate((False, True)):
        session = await world.server.use_id(PSEUDONYM)
        client = client_of(session, card_of(label=f"card {number}"), fresh_challenge=fresh)
        assert await log_in(client, world.server) == OK


async def test_who_cannot_be_told_that_it_ended_does_not_spoil_the_answer() -> None:
    async def gone(session_id: str, minor: str) -> None:
        raise StateError("session_unknown", "nobody waits any more")

    world = World(on_end=gone)
    session = await world.server.use_id(PSEUDONYM)
    assert await log_in(client_of(session), world.server) == OK
    silent = World(on_end=None)
    session = await silent.server.use_id(PSEUDONYM)
    assert await log_in(client_of(session), silent.server) == OK


async def test_an_unknown_session_is_refused_and_nobody_hears_of_it() -> None:
    world = World()
    for name in ("0" * 64, "", "ü", "x" * 4000):
        result = await log_in(Client(name, card_of()), world.server)
        assert result.minor == ClientMinor.INTERNAL_ERROR
    assert world.ended == []


async def test_the_services_name_of_a_session_begins_no_dialogue() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    assert (await log_in(Client(session.id, card_of()), world.server)).minor == ClientMinor.INTERNAL_ERROR
    assert await log_in(client_of(session), world.server) == OK


@pytest.mark.parametrize("body", [b"", b"\x00", b"<a/>", b"<" * 300_000, b"hello"])
async def test_what_is_no_message_is_refused(body: bytes) -> None:
    world = World()
    answer = decode(await world.server.answer_paos(body))
    assert isinstance(answer.body, paos.StartPAOSResponse)
    assert answer.body.result.major == CANCELLED.major
    assert world.ended == []


async def test_a_message_that_does_not_parse_ends_the_session_that_it_names() -> None:
    world = World()
    for at in (0, 1):
        session = await world.server.use_id(PSEUDONYM)
        client = client_of(session)
        start = encode(client.start())
        spoilt = b"<broken><SessionIdentifier>" + session.psk_id.encode() + b"</SessionIdentifier>"
        if at:
            answer = decode(await world.server.answer_paos(start))
            spoilt = b"<broken><RelatesTo>" + answer.message_id.encode() + b"</RelatesTo>"
        await world.server.answer_paos(spoilt)
        assert world.ended.pop() == (session.id, Minor.INTERNAL_ERROR)
        await world.server.answer_paos(spoilt)
        assert world.ended == []
        assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INTERNAL_ERROR


async def test_a_service_that_breaks_the_schema_loses_its_session() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM, owner="shop")
    await world.server.end(session.id)
    assert world.ended == []
    await world.server.end(session.id, owner="shop")
    await world.server.end(session.id, owner="shop")
    assert world.ended == [(session.id, Minor.SCHEMA_VIOLATION)]
    assert await refused(world.server.get_result(session.id, counter=1, owner="shop")) == Minor.INVALID_SESSION


# --- Two at once


@pytest.mark.parametrize("number", [0, 1, 2, 3])
async def test_two_copies_of_one_message_do_not_both_go_on(number: int) -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    message = client.start()
    while len(client.sent) <= number:
        message = client.respond(decode(await world.server.answer_paos(encode(message))))
    answers: list[bytes] = []

    async def copy() -> None:
        answers.append(await world.worker("other").answer_paos(encode(message)))

    world.store.before_replace = copy
    answers.append(await world.server.answer_paos(encode(message)))
    assert len(world.ended) == 1
    results = [body.result for each in answers if isinstance(body := decode(each).body, paos.StartPAOSResponse)]
    if number < 3:
        # One went on at most, and then the other copy ended the session.
        assert world.ended == [(session.id, Minor.INTERNAL_ERROR)]
        assert OK not in results
        assert results
    else:
        # The last message brings the result, once; the late copy is told that it is too late.
        assert sorted(result == OK for result in results) == [False, True]
        await world.server.get_result(session.id, counter=1)


async def test_a_service_that_asks_in_between_does_not_disturb_the_dialogue() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    answer = decode(await world.server.answer_paos(encode(client.start())))

    async def ask() -> None:
        assert await refused(world.server.get_result(session.id, counter=1)) == Minor.NO_RESULT_YET

    world.store.before_replace = ask
    while not isinstance(answer.body, paos.StartPAOSResponse):
        answer = decode(await world.server.answer_paos(encode(client.respond(answer))))
    assert answer.body.result == OK
    await world.server.get_result(session.id, counter=2)


async def test_a_session_that_cannot_be_changed_is_unavailable_and_not_lost() -> None:
    world = World()
    session = await world.server.use_id(PSEUDONYM)
    client = client_of(session)
    start = encode(client.start())
    world.store.loses = True
    for call in (world.server.answer_paos(start), world.server.get_result(session.id, counter=1)):
        with pytest.raises(UnavailableError):
            await call
    world.store.loses = False
    assert isinstance(decode(await world.server.answer_paos(start)).body, paos.DIDAuthenticate)


# --- At rest


async def test_the_store_holds_no_attribute_and_no_name_of_a_session() -> None:
    world = World()
    request = replace(EVERYTHING, psk="0123456789ABCDEF" * 2, psk_id="the shop's own name")
    for number, each in enumerate((EVERYTHING, request)):
        session = await world.server.use_id(each)
        client = client_of(session, card_of(label=f"card {number}"))
        await log_in(client, world.server)
        result = await world.server.get_result(session.id, counter=1)
        assert result.personal_data.restricted_id is not None
        secrets = [
            session.id.encode(),
            session.psk_id.encode(),
            session.psk.encode(),
            *(b"ERIKA", b"MUSTERMANN", b"19640812", b"1964-08-12", b"KOELN", "KÖLN".encode(), b"TEST transaction"),
            result.personal_data.restricted_id.first,
            result.personal_data.restricted_id.first.hex().encode(),
        ]
        kept = b"\n".join(world.store.written)
        assert len(world.store.written) > 8
        assert [secret for secret in secrets if secret in kept] == []


async def test_a_record_that_was_moved_or_changed_is_no_session() -> None:
    world = World()
    first, second = await world.server.use_id(PSEUDONYM), await world.server.use_id(PSEUDONYM)
    keys = await world.store.find(INDEX)
    values = [await world.store.take(key) for key in keys]
    for key, value in zip(keys, reversed(values), strict=True):
        assert value is not None
        await world.store.put(key, value.value, ttl=10)
    for session in (first, second):
        assert await refused(world.server.get_result(session.id, counter=1)) == Minor.INVALID_SESSION
        assert (await log_in(client_of(session), world.server)).minor == ClientMinor.INTERNAL_ERROR
