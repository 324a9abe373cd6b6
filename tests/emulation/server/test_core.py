"""The PAOS dialogue as a pure function: whole logins with every kind of card, and each way in which one can fail."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from tests.emulation.card.world import NOW, TODAY, Dialogue, stream
from tests.emulation.server.world import (
    CANCELLED,
    EVERYTHING,
    OK,
    PSEUDONYM,
    USABLE,
    Client,
    Tamper,
    card_of,
    material,
    pki,
    with_body,
    with_data,
)
from useid_middleware import _codec
from useid_middleware._codec import RecordType
from useid_middleware.eac.apdu import Command
from useid_middleware.eac.auxiliary_data import parse_auxiliary_data
from useid_middleware.eac.card_security import parse_card_security
from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eac.curves import BRAINPOOL_P256R1, P256
from useid_middleware.eac.file_identifiers import FileId
from useid_middleware.eac.oids import OID
from useid_middleware.eac.restricted_identification import revocation_list
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import (
    CardInfoLocator,
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    ChipAuthenticationPublicKeyInfo,
    OtherInfo,
    RestrictedIdentificationInfo,
    SecurityInfo,
    SecurityInfos,
    TerminalAuthenticationInfo,
)
from useid_middleware.eac.terminal import read_card_access, read_file
from useid_middleware.eac.tlv import build
from useid_middleware.eid.core.attributes import (
    EIDResult,
    EIDType,
    GeneralDate,
    Operation,
    Outcome,
    PersonalData,
    Place,
    UseIDRequest,
    Wish,
)
from useid_middleware.eid.core.results import MAJOR_OK, ClientMinor, Minor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard
from useid_middleware.emulation.card.personalisation import Personality, parse_personality
from useid_middleware.emulation.paos import Body, Envelope, Result
from useid_middleware.emulation.pki import PKI, RI_PROTOCOL, TerminalRequest, issue_terminal, new_pki
from useid_middleware.emulation.pki_documents import sign_card_security
from useid_middleware.emulation.server.core import DRAWN_SIZE, advance
from useid_middleware.emulation.server.material import TERMINAL, ServerMaterial, material_of
from useid_middleware.emulation.server.names import new_id, psk_id_of
from useid_middleware.emulation.server.requests import chat_of, requested_rights
from useid_middleware.emulation.server.session import (
    FINAL,
    TRANSITIONS,
    EACSession,
    State,
    Step,
    Variant,
    end_minor,
    next_state,
    result_of,
)
from useid_middleware.errors import EIDServerError, StateError

NOW_SECONDS = NOW.timestamp()
RECORDS = RecordType(EACSession)

EVERY_VARIANT = [
    Variant.DIRECT,
    Variant.INITIALIZE_FRAMEWORK,
    Variant.EAC_ADDITIONAL,
    Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST,
    Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST | Variant.EAC_ADDITIONAL,
]


def new_session(request: UseIDRequest = EVERYTHING, *, variant: Variant = Variant.DIRECT) -> EACSession:
    session_id = new_id(bytes(32))
    return EACSession(session_id, psk_id_of(session_id), "", NOW_SECONDS + 300, variant=variant, request=request)


@dataclass
class Server:
    """A session that passes through the store's bytes between any two messages, as if each had its own worker."""

    session: EACSession
    material: ServerMaterial
    now: float = NOW_SECONDS

    def __post_init__(self) -> None:
        self._random = stream("server")
        self.states = [self.session.state]

    def answer(self, message: Envelope) -> Envelope:
        stored = RECORDS.decode(RECORDS.encode(self.session))
        assert stored == self.session
        self.session, answer = advance(
            stored, message, now=self.now, material=self.material, drawn=self._random(DRAWN_SIZE)
        )
        self.states.append(self.session.state)
        return answer

    @property
    def result(self) -> EIDResult:
        return result_of(self.session)

    @property
    def minor(self) -> Minor | str:
        with pytest.raises(EIDServerError) as caught:
            result_of(self.session)
        return caught.value.minor


def log_in(client: Client, server: Server) -> Result:
    """The dialogue to its end: what StartPAOSResponse says."""
    answer = server.answer(client.start())
    while not isinstance(answer.body, paos.StartPAOSResponse):
        answer = server.answer(client.respond(answer))
    return answer.body.result


def served(request: UseIDRequest = EVERYTHING, *, variant: Variant = Variant.DIRECT, migrating: bool = False) -> Server:
    return Server(new_session(request, variant=variant), material(migrating=migrating))


def client_of(server: Server, card: Card | FaultyCard | None = None, **options: Any) -> Client:
    return Client(server.session.psk_id, card or card_of(), **options)


def outcome(server: Server, card: Card | FaultyCard | None = None, **options: Any) -> tuple[str, str]:
    """What client and eService are told."""
    result = log_in(client_of(server, card, **options), server)
    return result.minor, server.minor


# --- The table


def test_every_state_and_step_is_decided() -> None:
    allowed = {
        (State.STARTING, Step.INITIALIZE),
        (State.STARTING, Step.REQUEST),
        (State.FRAMEWORK, Step.LIST),
        (State.FRAMEWORK, Step.REQUEST),
        (State.LISTING, Step.REQUEST),
        (State.CHIP, Step.ANNOUNCE),
        (State.CHIP, Step.PROVE),
        (State.CHALLENGE, Step.PROVE),
        (State.GENUINE, Step.READ),
        (State.READING, Step.READ),
        (State.READING, Step.COMPLETE),
        (State.REST, Step.COMPLETE),
        *((state, Step.FAIL) for state in State if state not in FINAL),
    }
    for state in State:
        for step in Step:
            if (state, step) in allowed:
                assert next_state(state, step) is TRANSITIONS[state, step]
            else:
                with pytest.raises(StateError) as caught:
                    next_state(state, step)
                assert caught.value.code == "wrong_state"


@pytest.mark.parametrize("variant", EVERY_VARIANT)
@pytest.mark.parametrize("fresh_challenge", [False, True])
def test_every_way_through_the_table_ends_with_the_same_result(variant: Variant, fresh_challenge: bool) -> None:
    server = served(variant=variant)
    assert log_in(client_of(server, fresh_challenge=fresh_challenge), server) == OK
    assert server.states == [
        State.STARTING,
        *([State.FRAMEWORK] if Variant.INITIALIZE_FRAMEWORK in variant else []),
        *([State.LISTING] if Variant.DID_LIST in variant else []),
        State.CHIP,
        *([State.CHALLENGE] if Variant.EAC_ADDITIONAL in variant else []),
        State.GENUINE,
        State.READING,
        State.COMPLETED,
    ]
    assert server.result.personal_data.given_names == "ERIKA"


# --- Results


def test_erika_is_told_of_as_far_as_she_was_asked() -> None:
    server = served()
    log_in(client_of(server), server)
    result = server.result
    assert result.personal_data.family_names == "MUSTERMANN"
    assert result.personal_data.date_of_birth == GeneralDate("19640812", date(1964, 8, 12))
    assert result.personal_data.place_of_residence == Place(
        street="HEIDESTRAẞE 17", city="KÖLN", country="D", zip_code="51147"
    )
    assert result.personal_data.restricted_id is not None
    assert len(result.personal_data.restricted_id.first) == 32
    assert result.personal_data.restricted_id.second is None
    assert (result.fulfils_age_verification, result.fulfils_place_verification) == (True, True)
    assert (result.level_of_assurance, result.eid_type) == ("hoch", "CardCertified")
    assert result.operations_allowed_by_user == {
        **dict.fromkeys(Operation, Outcome.ALLOWED),
        Operation.RESIDENCE_PERMIT_I: Outcome.NOT_ON_CHIP,
    }


@pytest.mark.parametrize("personality", USABLE)
def test_every_personality_whose_pin_works_logs_in(personality: str) -> None:
    server = served(UseIDRequest(dict.fromkeys(set(Operation) - {Operation.PLACE_VERIFICATION}, Wish.ALLOWED), age=18))
    assert log_in(client_of(server, card_of(personality)), server) == OK
    assert server.result.personal_data.document_type in ("ID", "AR")


def test_nothing_but_the_pseudonym_is_read_where_nothing_else_is_asked() -> None:
    server = served(PSEUDONYM)
    client = client_of(server)
    log_in(client, server)
    pseudonym = server.result.personal_data.restricted_id
    assert pseudonym is not None
    assert server.result.personal_data == PersonalData(restricted_id=pseudonym)
    transmit = next(each.body for each in client.received if isinstance(each.body, paos.Transmit))
    # SELECT, VERIFY, and two commands for each of the revocation list and the pseudonym.
    assert [Command.decode(each.apdu).ins for each in transmit.apdus] == [0xA4, 0x20, 0x22, 0x86, 0x22, 0x86]


def test_the_pseudonym_is_the_same_each_time_and_another_for_another_person() -> None:
    found = []
    for personality, label in (("erika", "a"), ("erika", "b"), ("residence-permit", "c")):
        server = served(PSEUDONYM)
        log_in(client_of(server, card_of(personality, label=label)), server)
        found.append(server.result.personal_data.restricted_id)
    assert found[0] == found[1] != found[2]


def test_while_the_provider_changes_its_sector_there_are_two_pseudonyms() -> None:
    server, before = served(PSEUDONYM, migrating=True), served(PSEUDONYM)
    log_in(client_of(server), server)
    log_in(client_of(before), before)
    pseudonym, old = server.result.personal_data.restricted_id, before.result.personal_data.restricted_id
    assert pseudonym is not None
    assert old is not None
    assert pseudonym.first == old.first
    assert pseudonym.second not in (None, pseudonym.first)


def test_what_the_user_takes_away_is_prohibited_and_not_read() -> None:
    server = served()
    taken = AuthenticationRight.READ_DG7
    client = client_of(server, granted=~taken)
    log_in(client, server)
    assert server.result.operations_allowed_by_user[Operation.ACADEMIC_TITLE] is Outcome.PROHIBITED
    assert server.result.operations_allowed_by_user[Operation.ARTISTIC_NAME] is Outcome.ALLOWED
    assert server.result.personal_data.academic_title is None


def test_what_the_card_does_not_have_is_not_on_the_chip() -> None:
    server = served()
    log_in(client_of(server, card_of("no-artistic-name")), server)
    assert server.result.operations_allowed_by_user[Operation.ARTISTIC_NAME] is Outcome.NOT_ON_CHIP
    assert server.result.operations_allowed_by_user[Operation.ACADEMIC_TITLE] is Outcome.ALLOWED
    assert server.result.personal_data.artistic_name is None


@pytest.mark.parametrize(("age", "community", "expected"), [(18, "0276", (True, True)), (99, "0277", (False, False))])
def test_the_card_answers_without_showing_its_data(age: int, community: str, expected: tuple[bool, bool]) -> None:
    asked = dict.fromkeys((Operation.AGE_VERIFICATION, Operation.PLACE_VERIFICATION), Wish.REQUIRED)
    server = served(UseIDRequest(asked, age=age, community_id=community))
    log_in(client_of(server), server)
    result = server.result
    assert (result.fulfils_age_verification, result.fulfils_place_verification) == expected
    assert result.operations_allowed_by_user == dict.fromkeys(asked, Outcome.ALLOWED)
    assert result.personal_data.date_of_birth is None


def test_a_card_that_knows_no_community_cannot_say() -> None:
    own = parse_personality('title="x"\n[holder]\ngiven_names="A"\nfamily_names="B"\ndate_of_birth=2000-01-01')
    server = served(UseIDRequest({Operation.PLACE_VERIFICATION: Wish.REQUIRED}, community_id="0276"))
    assert log_in(client_of(server, card_of(own)), server) == OK
    assert server.result.fulfils_place_verification is None
    assert server.result.operations_allowed_by_user == {Operation.PLACE_VERIFICATION: Outcome.NOT_ON_CHIP}


def long_named(size: int) -> Personality:
    """Somebody whose given names take so many bytes, and whose artistic name is long too."""
    given = build(0x64, build(0x0C, b"A" * size)).hex()
    artistic = build(0x66, build(0x0C, b"B" * 600)).hex()
    return parse_personality(
        f'title="long"\ncommunity_id="0276"\n[holder]\ngiven_names="A"\nfamily_names="B"\ndate_of_birth=2000-01-01\n'
        f'[raw]\n4="{given}"\n6="{artistic}"'
    )


@pytest.mark.parametrize("size", [215, 218, 219, 220, 221, 442, 443, 1900])
def test_long_files_take_one_more_trip_and_no_more(size: int) -> None:
    server = served()
    client = client_of(server, card_of(long_named(size)))
    assert log_in(client, server) == OK
    assert server.result.personal_data.given_names == "A" * size
    assert server.result.personal_data.artistic_name == "B" * 600
    assert sum(isinstance(each.body, paos.Transmit) for each in client.received) == 2
    assert State.REST in server.states


def test_a_file_that_does_not_parse_ends_the_session() -> None:
    own = parse_personality(
        'title="x"\n[holder]\ngiven_names="A"\nfamily_names="B"\ndate_of_birth=2000-01-01\n[raw]\n4="640412FFFFFF"'
    )
    server = served(UseIDRequest({Operation.GIVEN_NAMES: Wish.REQUIRED}))
    assert outcome(server, card_of(own)) == (ClientMinor.INTERNAL_ERROR, Minor.INTERNAL_ERROR)


def test_a_file_that_ends_before_it_says_ends_the_session() -> None:
    own = parse_personality(
        'title="x"\n[holder]\ngiven_names="A"\nfamily_names="B"\ndate_of_birth=2000-01-01\n'
        f'[raw]\n4="{(bytes.fromhex("64820800") + bytes(300)).hex()}"'
    )
    server = served(UseIDRequest({Operation.GIVEN_NAMES: Wish.REQUIRED}))
    assert outcome(server, card_of(own)) == (ClientMinor.INTERNAL_ERROR, Minor.INTERNAL_ERROR)


# --- What the client is shown


def eac1_of(server: Server) -> paos.EAC1Input:
    body = server.answer(client_of(server).start()).body
    assert isinstance(body, paos.DIDAuthenticate)
    assert isinstance(body.data, paos.EAC1Input)
    return body.data


def test_the_client_is_shown_what_is_asked_by_whom() -> None:
    data = eac1_of(served())
    assert data.required_chat is not None
    assert data.optional_chat is not None
    required, optional = CHAT.decode(data.required_chat).rights, CHAT.decode(data.optional_chat).rights
    assert not required & optional
    assert optional == (AuthenticationRight.READ_DG6 | AuthenticationRight.READ_DG7 | AuthenticationRight.READ_DG19)
    assert AuthenticationRight.RESTRICTED_IDENTIFICATION & required
    assert not (required | optional) & ~material().chat.rights
    assert data.certificate_description == material().description
    assert data.transaction_info == "TEST transaction"
    asked = parse_auxiliary_data(data.auxiliary_data or b"")
    assert asked.valid_on == TODAY
    assert asked.born_by == date(TODAY.year - 18, TODAY.month, TODAY.day)
    assert asked.community_id == bytes.fromhex("0276")


def test_the_card_is_always_asked_whether_it_is_valid() -> None:
    asked = parse_auxiliary_data(eac1_of(served(PSEUDONYM)).auxiliary_data or b"")
    assert (asked.valid_on, asked.born_by, asked.community_id) == (TODAY, None, None)


def test_where_nothing_is_asked_nothing_is_optional() -> None:
    data = eac1_of(served(UseIDRequest({})))
    assert [CHAT.decode(each or b"").rights for each in (data.required_chat, data.optional_chat)] == [0, 0]


def test_slot_handle_and_context_handle_come_back_as_they_were() -> None:
    server = served()
    client = client_of(server, slot_handle="ﬀ weird/Handle==")
    assert log_in(client, server) == OK
    for each in client.received:
        assert getattr(each.body, "slot_handle", client.slot_handle) == client.slot_handle


def test_every_answer_relates_to_the_message_that_it_answers() -> None:
    server = served(variant=EVERY_VARIANT[-1])
    client = client_of(server)
    log_in(client, server)
    assert [each.relates_to for each in client.received] == [each.message_id for each in client.sent[:-1]]
    assert len({each.message_id for each in client.received}) == len(client.received)


def test_only_eid_types_that_the_service_accepts_are_served() -> None:
    types = {EIDType.CARD_CERTIFIED: "ALLOWED", EIDType.SE_CERTIFIED: "ALLOWED", EIDType.SE_ENDORSED: "DENIED"}
    request = replace(PSEUDONYM, eid_types=types)
    assert eac1_of(served(request)).accepted_eid_types == ("CardCertified", "SECertified")
    assert log_in(client_of(server := served(request)), server) == OK
    denied = served(replace(PSEUDONYM, eid_types={EIDType.CARD_CERTIFIED: "DENIED"}))
    assert outcome(denied) == (ClientMinor.INTERNAL_ERROR, Minor.INTERNAL_ERROR)


# --- Cards that are not believed


@pytest.mark.parametrize("personality", ["revoked", "expired"])
@pytest.mark.parametrize("migrating", [False, True])
def test_a_revoked_or_expired_card_is_an_invalid_document(personality: str, migrating: bool) -> None:
    server = served(migrating=migrating)
    assert outcome(server, card_of(personality)) == (ClientMinor.INTERNAL_ERROR, Minor.INVALID_DOCUMENT)


def test_a_card_that_is_revoked_in_the_second_sector_alone_is_refused() -> None:
    first, second = revoked_in_each_sector()
    server = served(PSEUDONYM, migrating=True)
    assert server.material.revoked == first | second
    server.material = replace(server.material, revoked=second)
    assert outcome(server, card_of("revoked")) == (ClientMinor.INTERNAL_ERROR, Minor.INVALID_DOCUMENT)


def revoked_in_each_sector() -> tuple[frozenset[bytes], frozenset[bytes]]:
    sectors = pki().sectors
    first, second = (revocation_list(sectors.revoked, sector=pair, protocol=RI_PROTOCOL) for pair in sectors.pairs)
    return first, second


def test_a_cloned_card_is_an_invalid_document() -> None:
    server = served()
    expected = (ClientMinor.SECURITY_CONDITION_NOT_SATISFIED, Minor.INVALID_DOCUMENT)
    assert outcome(server, card_of(fault="cloned")) == expected


def flipped(value: bytes) -> bytes:
    return value[:-1] + bytes((value[-1] ^ 1,))


def other_card_security() -> bytes:
    """EF.CardSecurity of another card of the same country: sound, but of another key."""
    card = card_of("residence-permit")
    dialogue = Dialogue(card)
    dialogue.pace()
    dialogue.authenticate_terminal()
    return dialogue.run(read_file(FileId.EF_CARD_SECURITY))


def card_access() -> bytes:
    content, _ = Dialogue(card_of()).run(read_card_access())
    return content


def signed(*more: SecurityInfo, country: PKI | None = None) -> bytes:
    """EF.CardSecurity with what EF.CardAccess has, and more."""
    infos = SecurityInfos((*parse_security_infos(card_access()).infos, *more))
    return sign_card_security(infos, signer=(country or pki()).signer)


def off_the_curve() -> SecurityInfo:
    """A public key info whose point is not on its curve."""
    info = ChipAuthenticationPublicKeyInfo(BRAINPOOL_P256R1.generator, 0x41).encode()
    point = BRAINPOOL_P256R1.generator.encode()
    return OtherInfo("", info.replace(point, flipped(point)))


def other_access() -> bytes:
    """An EF.CardAccess with an offer that the signed file does not have."""
    infos = parse_security_infos(card_access()).infos
    return SecurityInfos((*infos, CardInfoLocator("http://example.com/"))).encode()


NOT_GENUINE = (ClientMinor.SECURITY_CONDITION_NOT_SATISFIED, Minor.INVALID_DOCUMENT)
REFUSED = (ClientMinor.INTERNAL_ERROR, Minor.INVALID_DOCUMENT)
PARAMETER = (ClientMinor.INCORRECT_PARAMETER, Minor.INTERNAL_ERROR)
OTHER = (ClientMinor.INTERNAL_ERROR, Minor.INTERNAL_ERROR)
#: The client's messages in the direct variant.
START, EAC1, EAC2, ANSWERS = range(4)


def data_made(**makers: Callable[[bytes], object]) -> Tamper:
    """Changes members of the data, each by what makes a new value of the old one."""

    def tamper(envelope: Envelope) -> Envelope:
        data: Any = getattr(envelope.body, "data", None)
        return with_data(**{name: make(getattr(data, name)) for name, make in makers.items()})(envelope)

    return tamper


def member(**changes: object) -> Tamper:
    """Changes members of the message itself."""

    def tamper(envelope: Envelope) -> Envelope:
        body: Any = envelope.body
        return replace(envelope, body=replace(body, **changes))

    return tamper


def apdus_made(make: Callable[[tuple[bytes, ...]], tuple[bytes, ...]], result: Result = OK) -> Tamper:
    def tamper(envelope: Envelope) -> Envelope:
        assert isinstance(envelope.body, paos.TransmitResponse)
        return replace(envelope, body=paos.TransmitResponse(result, make(envelope.body.apdus)))

    return tamper


CARDS: dict[str, Callable[[], dict[str, Tamper]]] = {
    "a wrong token": lambda: {"EAC2": data_made(token=flipped)},
    "a token that is too short": lambda: {"EAC2": data_made(token=lambda token: token[:4])},
    "an empty token": lambda: {"EAC2": with_data(token=b"")},
    "another nonce": lambda: {"EAC2": data_made(nonce=flipped)},
    "a nonce that is too long": lambda: {"EAC2": data_made(nonce=lambda nonce: nonce + b"1")},
    "another card's EF.CardSecurity": lambda: {"EAC2": with_data(card_security=other_card_security())},
    "an EF.CardSecurity that was changed": lambda: {"EAC2": data_made(card_security=flipped)},
    "an EF.CardSecurity that is none": lambda: {"EAC2": with_data(card_security=b"0\x00")},
    "an empty EF.CardSecurity": lambda: {"EAC2": with_data(card_security=b"")},
    "another country's document signer": lambda: {
        "EAC2": with_data(card_security=signed(country=new_pki(now=NOW, random=stream("elsewhere"))))
    },
    "an EF.CardSecurity without a key": lambda: {"EAC2": with_data(card_security=signed())},
    "a key off the curve": lambda: {"EAC2": with_data(card_security=signed(off_the_curve()))},
    "a key on another curve": lambda: {
        "EAC2": with_data(card_security=signed(ChipAuthenticationPublicKeyInfo(P256.generator, 0x41)))
    },
    "an EF.CardAccess that disagrees": lambda: {"EAC1": with_data(card_access=other_access())},
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_that_does_not_prove_to_be_genuine_is_an_invalid_document(name: str) -> None:
    places = {"EAC1": EAC1, "EAC2": EAC2}
    server = served()
    tampers = {places[place]: tamper for place, tamper in CARDS[name]().items()}
    assert outcome(server, tampers=tampers) == NOT_GENUINE


def test_a_revoked_document_signer_makes_an_invalid_document() -> None:
    server = served()
    serial = pki().signer.certificate.serial_number
    server.material = replace(server.material, revoked_signers=frozenset({serial}))
    assert outcome(server) == NOT_GENUINE


def test_a_card_without_a_key_for_the_revocation_list_is_refused() -> None:
    """Its own key, signed, so that it proves to be genuine."""
    server = served()
    infos = parse_security_infos(parse_card_security(own_card_security()).content)
    kept = SecurityInfos(tuple(each for each in infos.infos if not isinstance(each, RestrictedIdentificationInfo)))
    content = sign_card_security(kept, signer=pki().signer)
    assert outcome(server, tampers={EAC2: with_data(card_security=content)}) == REFUSED


def own_card_security() -> bytes:
    dialogue = Dialogue(card_of())
    dialogue.pace()
    dialogue.authenticate_terminal()
    return dialogue.run(read_file(FileId.EF_CARD_SECURITY))


def test_a_card_without_a_key_for_pseudonyms_has_none() -> None:
    server = served(PSEUDONYM)
    infos = parse_security_infos(parse_card_security(own_card_security()).content)
    kept = tuple(
        each for each in infos.infos if not (isinstance(each, RestrictedIdentificationInfo) and each.authorized_only)
    )
    content = sign_card_security(SecurityInfos(kept), signer=pki().signer)
    assert log_in(client_of(server, tampers={EAC2: with_data(card_security=content)}), server) == OK
    assert server.result.operations_allowed_by_user == {Operation.RESTRICTED_ID: Outcome.NOT_ON_CHIP}


BROKEN: dict[str, tuple[Tamper, tuple[str, str]]] = {
    "a wrong MAC": (apdus_made(lambda apdus: (*apdus[:2], _other_mac(apdus[2]), *apdus[3:])), REFUSED),
    "answers in another order": (apdus_made(lambda apdus: (apdus[1], apdus[0], *apdus[2:])), REFUSED),
    "an answer that comes twice": (apdus_made(lambda apdus: (apdus[0], apdus[0], *apdus[2:])), REFUSED),
    "a card that has dropped the channel": (apdus_made(lambda apdus: (*apdus[:3], b"\x69\x88")), REFUSED),
    "that, as the stock client says it": (
        apdus_made(lambda apdus: (*apdus[:3], b"\x69\x88"), Result(CANCELLED.major, ClientMinor.INTERNAL_ERROR)),
        REFUSED,
    ),
    "another status word than the protected one": (apdus_made(lambda apdus: (apdus[0][:-2] + b"\x63\x00",)), REFUSED),
    "one answer too few": (apdus_made(lambda apdus: apdus[:-1]), OTHER),
    "no answer": (apdus_made(lambda apdus: ()), OTHER),
    "one answer too many": (apdus_made(lambda apdus: (*apdus, b"\x90\x00")), REFUSED),
    "half an answer": (apdus_made(lambda apdus: (b"\x90", *apdus[1:])), OTHER),
    "an error in the middle": (apdus_made(lambda apdus: apdus[:2], CANCELLED), OTHER),
}


def _other_mac(apdu: bytes) -> bytes:
    return apdu[:-3] + bytes((apdu[-3] ^ 1,)) + apdu[-2:]


@pytest.mark.parametrize("name", BROKEN)
def test_secure_messaging_that_breaks_ends_the_session(name: str) -> None:
    tamper, expected = BROKEN[name]
    assert outcome(served(), tampers={ANSWERS: tamper}) == expected


def test_the_second_trip_is_protected_like_the_first() -> None:
    for tamper, expected in ((BROKEN["a wrong MAC"][0], REFUSED), (BROKEN["one answer too few"][0], OTHER)):
        server = served()
        assert outcome(server, card_of(long_named(900)), tampers={ANSWERS + 1: tamper}) == expected


def test_a_card_that_refuses_to_be_read_ends_the_session() -> None:
    """The client tells the card of fewer rights than the server, so that reading is refused, by a protected 6982."""
    server = served()
    requested = requested_rights(EVERYTHING)
    told = with_data(chat=chat_of(requested.required | requested.optional))
    client = client_of(server, granted=~int(AuthenticationRight.READ_DG7), tampers={EAC1: told})
    assert (log_in(client, server).minor, server.minor) == OTHER
    assert isinstance(client.sent[-1].body, paos.TransmitResponse)


# --- Clients that are not believed

AT = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, 0)
MALFORMED: dict[str, tuple[int, Tamper, tuple[str, str]]] = {
    "a short challenge": (EAC1, with_data(challenge=bytes(7)), PARAMETER),
    "no challenge": (EAC1, with_data(challenge=b""), PARAMETER),
    "no IDPICC": (EAC1, with_data(id_picc=b""), PARAMETER),
    "a long IDPICC": (EAC1, with_data(id_picc=bytes(257)), PARAMETER),
    "a CHAT that is none": (EAC1, with_data(chat=b"\x00"), OTHER),
    "a CHAT without a required right": (EAC1, with_data(chat=AT.encode()), OTHER),
    "a CHAT with a right that was not asked for": (
        EAC1,
        with_data(chat=replace(AT, rights=requested_rights(EVERYTHING).required | 1 << 4).encode()),
        OTHER,
    ),
    "a CHAT of a DV": (
        EAC1,
        with_data(chat=replace(AT, role=Role.DV_OFFICIAL, rights=requested_rights(EVERYTHING).required).encode()),
        OTHER,
    ),
    "a CHAT of an inspection system": (
        EAC1,
        with_data(chat=CHAT(TerminalType.INSPECTION_SYSTEM, Role.TERMINAL, 0).encode()),
        OTHER,
    ),
    "an unknown trust point": (EAC1, with_data(references=(b"DETESTXXXX00001",)), OTHER),
    "an EF.CardAccess that is none": (EAC1, with_data(card_access=b"1\x01"), OTHER),
    "an EF.CardAccess without Chip Authentication": (
        EAC1,
        with_data(card_access=SecurityInfos((TerminalAuthenticationInfo(),)).encode()),
        OTHER,
    ),
    "an EF.CardAccess on an unknown curve": (
        EAC1,
        with_data(
            card_access=SecurityInfos(
                (
                    ChipAuthenticationInfo(OID.CA_ECDH_AES_CBC_CMAC_128, key_id=1),
                    ChipAuthenticationDomainParameterInfo(99, 1),
                )
            ).encode()
        ),
        OTHER,
    ),
    "EAC2OutputType instead of EAC1OutputType": (
        EAC1,
        with_body(paos.DIDAuthenticateResponse(OK, paos.EAC2Output(challenge=bytes(8)))),
        PARAMETER,
    ),
    "nothing instead of EAC1OutputType": (EAC1, with_body(paos.DIDAuthenticateResponse(OK, None)), PARAMETER),
    "no EF.CardSecurity": (EAC2, with_data(card_security=None), PARAMETER),
    "no token": (EAC2, with_data(token=None), PARAMETER),
    "no nonce": (EAC2, with_data(nonce=None), PARAMETER),
    "a challenge again": (EAC2, with_data(challenge=bytes(8)), PARAMETER),
    "nothing instead of EAC2OutputType": (EAC2, with_body(paos.DIDAuthenticateResponse(OK, None)), PARAMETER),
    "another session's identifier": (START, with_body(paos.StartPAOS("0" * 64, "1")), OTHER),
    "a slot handle without end": (
        START,
        member(slot_handle="x" * 1025),
        PARAMETER,
    ),
    "a message that relates to none": (EAC1, lambda each: replace(each, relates_to=""), OTHER),
    "a message that relates to the client's own": (EAC1, lambda each: replace(each, relates_to="urn:uuid:1"), OTHER),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_message_that_does_not_fit_ends_the_session(name: str) -> None:
    number, tamper, expected = MALFORMED[name]
    assert outcome(served(), tampers={number: tamper}) == expected


ADDITIONAL: dict[str, Tamper] = {
    "no challenge": with_data(challenge=None),
    "a short challenge": with_data(challenge=bytes(7)),
    "more than a challenge": with_data(token=bytes(8)),
    "the proof before the signature": with_data(challenge=None, card_security=b"0", token=bytes(8), nonce=bytes(8)),
}


@pytest.mark.parametrize("name", ADDITIONAL)
def test_before_the_signature_there_is_a_challenge_and_nothing_else(name: str) -> None:
    server = served(variant=Variant.EAC_ADDITIONAL)
    assert outcome(server, tampers={EAC2: ADDITIONAL[name]}) == PARAMETER


def test_a_client_that_has_found_the_way_names_no_trust_point() -> None:
    server = served()
    assert log_in(client_of(server, tampers={EAC1: with_data(references=())}), server) == OK


def test_a_client_that_does_not_name_the_users_rights_leaves_all() -> None:
    server = served()
    assert log_in(client_of(server, tampers={EAC1: with_data(chat=None)}), server) == OK
    assert server.result.operations_allowed_by_user[Operation.ACADEMIC_TITLE] is Outcome.ALLOWED


MESSAGES: list[Body] = [
    paos.StartPAOS("x", "1"),
    paos.InitializeFrameworkResponse(OK),
    paos.DIDListResponse(OK),
    paos.DIDAuthenticateResponse(OK, paos.EAC2Output(challenge=bytes(8))),
    paos.TransmitResponse(OK, ()),
]
#: What the server waits for one after the other, if everything that it may ask is asked.
ORDER: list[type[object]] = [
    paos.StartPAOS,
    paos.InitializeFrameworkResponse,
    paos.DIDListResponse,
    *(paos.DIDAuthenticateResponse,) * 3,
    paos.TransmitResponse,
]
FULL = Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST | Variant.EAC_ADDITIONAL


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("body", MESSAGES, ids=lambda body: type(body).__name__)
def test_a_message_out_of_order_ends_the_session(number: int, body: Body) -> None:
    """Each message in the place of each other one; where it is of the right kind, it still is of another session."""
    server = served(variant=FULL)
    fits = isinstance(body, ORDER[number])
    client = client_of(
        server, tampers={number: lambda each: Envelope(each.message_id, body, "" if fits else each.relates_to)}
    )
    result = log_in(client, server)
    assert len(client.sent) == number + 1
    assert result.minor in (ClientMinor.INTERNAL_ERROR, ClientMinor.INCORRECT_PARAMETER)
    assert server.session.state is State.FAILED


@pytest.mark.parametrize("number", range(7))
def test_a_message_that_comes_twice_ends_the_session(number: int) -> None:
    server = served(variant=FULL)
    client = client_of(server)
    answer = server.answer(client.start())
    while len(client.sent) <= number:
        answer = server.answer(client.respond(answer))
    again = server.answer(client.sent[-1])
    assert isinstance(again.body, paos.StartPAOSResponse)
    if number < 6:
        assert server.session.state is State.FAILED
        assert again.body.result.minor == ClientMinor.INTERNAL_ERROR
    else:
        # The result is there; nobody can spoil it any more, or get a second answer.
        assert server.session.state is State.COMPLETED
        assert again.body.result.minor == ClientMinor.INTERNAL_ERROR


@pytest.mark.parametrize("number", range(1, 7))
def test_a_message_of_another_session_ends_this_one(number: int) -> None:
    other = served(variant=FULL)
    other.session = _codec.replace(other.session, psk_id="another")
    foreign = client_of(other)
    log_in(foreign, other)
    server = served(variant=FULL)
    client = client_of(server, tampers={number: lambda each: foreign.sent[number]})
    assert log_in(client, server).minor == ClientMinor.INTERNAL_ERROR
    assert server.session.state is State.FAILED


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (CANCELLED, ClientMinor.CANCELLATION_BY_USER),
        (Result(CANCELLED.major, ClientMinor.COMMUNICATION_ERROR), Minor.INTERNAL_ERROR),
        (Result(CANCELLED.major, "http://example.com/<script>"), Minor.INTERNAL_ERROR),
        (Result("", ""), Minor.INTERNAL_ERROR),
    ],
)
def test_an_error_of_the_client_ends_the_session(number: int, told: Result, expected: str) -> None:
    server = served(variant=FULL)
    client = client_of(server, tampers={number: member(result=told)})
    assert log_in(client, server).minor == ClientMinor.INTERNAL_ERROR
    assert server.minor == Minor.INTERNAL_ERROR
    assert end_minor(server.session) == expected


def test_a_warning_of_the_client_is_none_of_our_business() -> None:
    warned = Result(MAJOR_OK.replace("#ok", "#warning"), "http://example.com/")
    server = served()
    client = client_of(server, tampers={EAC1: member(result=warned)})
    assert log_in(client, server) == OK


@pytest.mark.parametrize("late", [True, False])
def test_a_message_after_the_deadline_comes_too_late(late: bool) -> None:
    server = served()
    server.now += 300 if late else 299.9
    answer = server.answer(client_of(server).start())
    assert isinstance(answer.body, paos.StartPAOSResponse) is late
    assert (server.session.state is State.FAILED) is late


def test_a_terminal_that_was_renewed_meanwhile_does_not_sign_for_another() -> None:
    server = served()
    client = client_of(server)
    answer = server.answer(client.start())
    renewed = issue_terminal(pki(), TERMINAL, request=TerminalRequest(), now=NOW, random=stream("renewed"))
    server.material = material_of(renewed)
    answer = server.answer(client.respond(answer))
    assert isinstance(answer.body, paos.StartPAOSResponse)
    assert server.minor == Minor.INTERNAL_ERROR


# --- What remains


def test_of_a_failed_session_nothing_remains_but_why() -> None:
    server = served()
    before = server.session
    log_in(client_of(server, tampers={ANSWERS: BROKEN["a wrong MAC"][0]}), server)
    expected = EACSession(
        before.id,
        before.psk_id,
        before.owner,
        before.deadline,
        state=State.FAILED,
        failure=server.session.failure,
    )
    assert server.session == expected
    assert b"TEST transaction" not in RECORDS.encode(server.session)


def test_of_a_completed_session_nothing_remains_but_the_result() -> None:
    server = served()
    before = server.session
    log_in(client_of(server), server)
    expected = EACSession(
        before.id, before.psk_id, before.owner, before.deadline, state=State.COMPLETED, result=server.result
    )
    assert server.session == expected


def test_an_ended_session_stays_as_it_is() -> None:
    server = served()
    log_in(client_of(server, tampers={START: with_body(paos.StartPAOS("0", "1"))}), server)
    before = server.session
    answer = server.answer(client_of(server).start())
    assert isinstance(answer.body, paos.StartPAOSResponse)
    assert answer.body.result.minor == ClientMinor.INTERNAL_ERROR
    assert server.session == before


def card_said(client: Client) -> list[bytes]:
    """The challenge, the nonce and the token that the client has sent."""
    datas = [each.body.data for each in client.sent if isinstance(each.body, paos.DIDAuthenticateResponse)]
    return [
        value
        for data in datas
        for name in ("challenge", "nonce", "token")
        if (value := getattr(data, name, None)) is not None
    ]


def test_no_answer_tells_what_the_card_said() -> None:
    for tamper in (with_data(token=bytes(8)), with_data(nonce=None)):
        server = served()
        client = client_of(server, tampers={EAC2: tamper})
        result = log_in(client, server)
        assert set(result.message) <= set(map(chr, range(32, 127)))
        told = [value.hex() for value in card_said(client)]
        assert not [value for value in told if value in result.message.lower()]


def test_the_client_cannot_find_the_services_name_of_a_session() -> None:
    session_id = new_id(bytes(32))
    assert session_id not in psk_id_of(session_id)
    assert psk_id_of(session_id) != psk_id_of(new_id(b"1" * 32))
    assert psk_id_of(new_id(bytes(32), psk_id="ünïque name")) == "ünïque name"
