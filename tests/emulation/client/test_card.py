"""What an eID client asks of a person and of a card, and all that a card may do wrong."""

from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

import pytest

from tests.emulation.card.world import NOW, stream
from tests.emulation.client.website import (
    TLS,
    Person,
    Website,
    circumstances,
    last_result,
    log_in,
    refused,
    told,
    with_eac1,
)
from tests.emulation.server.world import ORIGIN, PSEUDONYM, card_of, material, pki
from useid_middleware.eac.apdu import Ins
from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eac.errors import SecurityInfoError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.keys import PasswordId, SessionKeys
from useid_middleware.eac.pace import PACEResult
from useid_middleware.eac.secure_messaging import SecureSession
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import PACEInfo, SecurityInfos
from useid_middleware.eac.terminal import read_card_access
from useid_middleware.eid.core.results import ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard
from useid_middleware.emulation.client.actions import PasswordRequest
from useid_middleware.emulation.client.card import OpenCard, prove
from useid_middleware.emulation.paos import Envelope
from useid_middleware.emulation.pki import DEFAULT_RIGHTS, TerminalRequest, issue_terminal, new_pki
from useid_middleware.emulation.server.material import TERMINAL, ServerMaterial, material_of

# ── passwords ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def passwords(*, pin: list[str], can: list[str] | None = None) -> Person:
    """Somebody who types these one after the other, then gives up."""
    return Person(passwords={PasswordId.PIN: pin, PasswordId.CAN: can or []})


def test_after_a_wrong_pin_the_client_asks_again_and_says_how_many_tries_are_left() -> None:
    person = passwords(pin=["111111", "123456"])
    assert log_in(Website(request=PSEUDONYM), person=person).is_ok
    assert person.asked == [
        PasswordRequest(PasswordId.PIN, 6, 3),
        PasswordRequest(PasswordId.PIN, 6, 2, is_repeated=True),
    ]


def test_before_the_last_try_the_client_asks_for_the_can() -> None:
    person = passwords(pin=["111111", "222222", "123456"], can=["500540"])
    card = card_of()
    assert log_in(Website(request=PSEUDONYM), person=person, card=card).is_ok
    assert [(each.password, each.tries_left) for each in person.asked] == [
        (PasswordId.PIN, 3),
        (PasswordId.PIN, 2),
        (PasswordId.CAN, None),
        (PasswordId.PIN, 1),
    ]
    assert card.state.pin_status == "three tries"


def test_a_suspended_pin_is_resumed_by_the_can() -> None:
    person = passwords(pin=["123456"], can=["111111", "500540"])
    assert log_in(Website(request=PSEUDONYM), person=person, card=card_of(fault="pin-suspended")).is_ok
    assert [(each.password, each.is_repeated) for each in person.asked] == [
        (PasswordId.CAN, False),
        (PasswordId.CAN, True),
        (PasswordId.PIN, False),
    ]


def test_a_third_wrong_pin_blocks_it() -> None:
    person = passwords(pin=["111111", "222222", "333333", "123456"], can=["500540"])
    website, card = Website(request=PSEUDONYM), card_of()
    ended = log_in(website, person=person, card=card)
    refused(website, ended, "pin_blocked", ClientMinor.PREREQUISITES_NOT_SATISFIED)
    assert card.state.pin_status == "blocked"
    assert told(ended)["ResultMinor"] == "clientError"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("pin-blocked", "pin_blocked"), ("pin-deactivated", "pin_deactivated"), ("transport-pin", "pin_transport")],
)
def test_a_pin_that_cannot_be_used_ends_the_login(fault: str, code: str) -> None:
    website = Website(request=PSEUDONYM)
    person = passwords(pin=["12345" if fault == "transport-pin" else "123456"])
    ended = log_in(website, person=person, card=card_of(fault=fault))
    refused(website, ended, code, ClientMinor.PREREQUISITES_NOT_SATISFIED)
    assert last_result(website).minor == ClientMinor.PREREQUISITES_NOT_SATISFIED


@pytest.mark.parametrize("fault", ["", "pin-suspended"])
def test_who_gives_no_password_cancels(fault: str) -> None:
    website = Website(request=PSEUDONYM)
    ended = log_in(website, person=passwords(pin=[]), card=card_of(fault=fault))
    refused(website, ended, "cancelled", ClientMinor.CANCELLATION_BY_USER)


@pytest.mark.parametrize("typed", ["abc", "12345678901234567890", "\N{GREEK SMALL LETTER ALPHA}" * 6])
def test_a_pin_of_any_form_is_a_wrong_one(typed: str) -> None:
    person = passwords(pin=[typed, "123456"])
    assert log_in(Website(request=PSEUDONYM), person=person).is_ok
    assert person.asked[1].is_repeated


@cache
def can_allowed() -> ServerMaterial:
    """A terminal that is content with the CAN."""
    request = TerminalRequest(
        subject_url=ORIGIN,
        tls_hashes=(sha256(TLS).digest(),),
        rights=DEFAULT_RIGHTS | AuthenticationRight.CAN_ALLOWED,
    )
    made = issue_terminal(pki(), TERMINAL, request=request, now=NOW, random=stream("can"))
    return material_of(made)


def can_website() -> Website:
    """A website that asks for the pseudonym, with the CAN."""
    rights = AuthenticationRight.CAN_ALLOWED | AuthenticationRight.RESTRICTED_IDENTIFICATION
    chat = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, rights).encode()
    return Website(request=PSEUDONYM, material=can_allowed(), tampers={0: with_eac1(required_chat=chat)})


def test_a_terminal_with_the_right_to_it_is_content_with_the_can() -> None:
    website = can_website()
    person = passwords(pin=[], can=["111111", "500540"])
    log_in(website, person=person)
    assert [each.password for each in person.asked] == [PasswordId.CAN, PasswordId.CAN]
    # The server asked for one right, and was granted two: it takes no more than it asked for.
    assert isinstance(website.messages[1].body, paos.DIDAuthenticateResponse)
    assert website.messages[1].body.result.is_ok


# ── cards ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["card-lost-in-pace", "card-lost", "card-lost-while-reading"])
def test_a_card_that_is_taken_away_ends_the_login(fault: str) -> None:
    website = Website()
    ended = log_in(website, card=card_of(fault=fault))
    refused(website, ended, "card_lost", ClientMinor.INTERNAL_ERROR)
    assert last_result(website).minor == ClientMinor.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("wrong-mac", "secure_messaging_failed"),
        ("wrong-token", "pace_failed"),
        ("out-of-order", "secure_messaging_failed"),
        ("no-card-access", "status_word"),
    ],
)
def test_a_card_that_is_out_of_order_ends_the_login(fault: str, code: str) -> None:
    website = Website()
    ended = log_in(website, card=card_of(fault=fault))
    refused(website, ended, code, ClientMinor.INTERNAL_ERROR)


def test_a_copied_card_is_found_out_by_the_server() -> None:
    website = Website()
    ended = log_in(website, card=card_of(fault="cloned"))
    refused(website, ended, "server_refused", ClientMinor.SECURITY_CONDITION_NOT_SATISFIED)
    assert told(ended)["ResultMinor"] == "serverError"


def test_a_card_that_does_not_know_the_terminals_country_ends_the_login() -> None:
    website = Website()
    stranger = new_pki(now=NOW, random=stream("stranger"))
    known = circumstances(trusted=(*pki().trust_points, *stranger.trust_points))
    request = TerminalRequest(subject_url=ORIGIN, tls_hashes=(sha256(TLS).digest(),))
    website.material = material_of(issue_terminal(stranger, TERMINAL, request=request, now=NOW, random=stream("x")))
    # Both countries call their CVCA the same; the card's is the other one.
    ended = log_in(website, known=replace(known, trusted=stranger.trust_points))
    refused(website, ended, "status_word", ClientMinor.INTERNAL_ERROR)


@dataclass
class Refusing:
    """A card that answers one instruction with 6A80."""

    ins: int
    card: Card | FaultyCard = field(default_factory=card_of)

    def transmit(self, apdu: bytes) -> bytes:
        return b"\x6a\x80" if apdu[1] == self.ins else self.card.transmit(apdu)


@pytest.mark.parametrize("ins", [Ins.MANAGE_SECURITY_ENVIRONMENT, Ins.GENERAL_AUTHENTICATE, Ins.READ_BINARY])
@pytest.mark.parametrize("is_can_enough", [False, True])
def test_a_card_that_refuses_before_there_is_a_channel_ends_the_login(ins: int, is_can_enough: bool) -> None:
    website = can_website() if is_can_enough else Website()
    person = Person()
    ended = log_in(website, person=person, card=Refusing(ins))
    refused(website, ended, "status_word", ClientMinor.INTERNAL_ERROR)
    assert len(person.asked) <= 1


def test_a_card_that_does_not_say_which_curve_its_key_is_on_ends_the_login() -> None:
    chosen = [each for each in parse_security_infos(card_access()).infos if isinstance(each, PACEInfo)]
    reference = pki().trust_points[0].reference
    keys = SessionKeys(bytes(16), bytes(16))
    card = OpenCard(
        SecurityInfos(tuple(chosen)).encode(), PACEResult(keys, b"", b"", (reference,)), bytes(8), SecureSession(keys)
    )
    with pytest.raises(SecurityInfoError):
        next(prove(card, material().presented, ephemeral_key=b"\x04", auxiliary=b"", signature=b""))


def card_access() -> bytes:
    """The EF.CardAccess of every card here."""
    content, _ = run(read_card_access(), card_of().transmit)
    return content


def test_an_answer_that_the_server_does_not_accept_ends_the_transmission() -> None:
    website = Website(request=PSEUDONYM)

    def unacceptable(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.Transmit)
        first, *rest = body.apdus
        return replace(envelope, body=replace(body, apdus=(replace(first, acceptable=(b"\x61", b"\x62\x82")), *rest)))

    website.tampers = {2: unacceptable}
    ended = log_in(website)
    refused(website, ended, "server_refused", ClientMinor.INTERNAL_ERROR)
    response = website.messages[-1].body
    assert isinstance(response, paos.TransmitResponse)
    assert len(response.apdus) == 1


def test_the_beginning_of_a_status_word_may_be_acceptable() -> None:
    website = Website(request=PSEUDONYM)

    def beginnings(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.Transmit)
        return replace(envelope, body=replace(body, apdus=tuple(replace(e, acceptable=(b"\x90",)) for e in body.apdus)))

    website.tampers = {2: beginnings}
    assert log_in(website).is_ok
