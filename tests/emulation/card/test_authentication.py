"""Terminal and Chip Authentication, pseudonyms and questions, all through ``transmit``; and what breaks them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.emulation.card.world import CURVE, NOW, Dialogue, card, chat, pki, stream, without
from useid_middleware.eac import terminal_authentication as ta
from useid_middleware.eac.apdu import Command, Ins, StatusWord
from useid_middleware.eac.certificate_chain import TrustStore
from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eac.chip_authentication import SetAT as KeySetAT
from useid_middleware.eac.curves import key_pair
from useid_middleware.eac.cvc import Certificate, ecdsa_signer, sign_certificate
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.pace import SetAT as PACESetAT
from useid_middleware.eac.tlv import build
from useid_middleware.emulation.card.making import CA_KEY, CA_PROTOCOL, RI_REVOCATION_KEY
from useid_middleware.emulation.pki import PKI, new_pki, renew

SET_AT_PACE = PACESetAT(OID.PACE_ECDH_GM_AES_CBC_CMAC_128, PasswordId.PIN)


def opened(personality: str = "erika") -> Dialogue:
    dialogue = Dialogue(card(personality))
    dialogue.pace()
    return dialogue


def set_dst(certificate: Certificate) -> Command:
    reference = build(0x83, certificate.says.authority_reference)
    return Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6, reference)


def verify_command(certificate: Certificate) -> Command:
    return Command(Ins.PERFORM_SECURITY_OPERATION, 0, 0xBE, certificate.signed)


def presented(dialogue: Dialogue, certificate: Certificate) -> int:
    """The status word of PSO:Verify Certificate, the issuer known."""
    assert dialogue.sw(set_dst(certificate)) == StatusWord.OK
    return dialogue.sw(verify_command(certificate))


def resigned(certificate: Certificate, *, private: int, **changes: object) -> Certificate:
    """The certificate saying something else, signed by its issuer all the same."""
    says = replace(certificate.says, **changes)  # type: ignore[arg-type]
    return sign_certificate(says, sign=ecdsa_signer(private, curve=CURVE, protocol=OID.TA_ECDSA_SHA_256))


def test_a_whole_login_moves_the_cards_date_and_nothing_else() -> None:
    dialogue = Dialogue(card())
    state = dialogue.card.state
    later = NOW + timedelta(days=10)
    renewed = renew(pki(), now=later, random=stream("renewed"))
    dialogue.pace()
    dialogue.authenticate_terminal(pki=renewed)
    moved = replace(state, trust=TrustStore(state.trust.points, later.date()))
    assert dialogue.card.state == moved


def test_a_link_certificate_becomes_the_newest_trust_point() -> None:
    dialogue = Dialogue(card())
    renewed = renew(pki(), now=NOW, random=stream("new CVCA"), new_cvca=True)
    dialogue.pace()
    dialogue.authenticate_terminal(pki=renewed)
    references = tuple(
        each.says.holder_reference for each in (renewed.authorities[1].root, renewed.authorities[0].root)
    )
    assert tuple(each.reference for each in dialogue.card.state.trust.points) == references
    assert dialogue.pace().references == references
    # From now on, the card verifies without the link.
    dialogue.authenticate_terminal(pki=renewed)


def test_without_a_chat_in_pace_no_terminal_can_authenticate_itself() -> None:
    dialogue = Dialogue(card())
    assert dialogue.pace(rights=None).references == ()
    assert dialogue.sw(set_dst(pki().dv.certificate)) == StatusWord.CONDITIONS_NOT_SATISFIED


@pytest.mark.parametrize("terminal_type", [TerminalType.INSPECTION_SYSTEM, TerminalType.SIGNATURE_TERMINAL])
def test_other_types_of_terminals_have_no_business_here(terminal_type: TerminalType) -> None:
    asked = replace(SET_AT_PACE, chat=CHAT(terminal_type, Role.TERMINAL, 0).encode())
    command = Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4, asked.encode())
    assert Dialogue(card()).sw(command) == StatusWord.REFERENCED_DATA_NOT_FOUND


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x6A80),
        (SET_AT_PACE.encode()[:-1], 0x6A80),
        (replace(SET_AT_PACE, protocol=OID.PACE_ECDH_GM_AES_CBC_CMAC_256).encode(), 0x6A80),
        (replace(SET_AT_PACE, protocol=OID.CA_ECDH_AES_CBC_CMAC_128).encode(), 0x6A80),
        (replace(SET_AT_PACE, parameter_id=12).encode(), 0x6A88),
        (replace(SET_AT_PACE, chat=chat()[:-1]).encode(), 0x6A80),
        (replace(SET_AT_PACE, chat=bytes.fromhex("7F4C03060100")).encode(), 0x6A80),
        (SET_AT_PACE.encode(), 0x9000),
        (replace(SET_AT_PACE, parameter_id=13, chat=chat()).encode(), 0x9000),
    ],
)
def test_pace_is_chosen_as_the_card_offers_it(data: bytes, expected: int) -> None:
    assert Dialogue(card()).sw(Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4, data)) == expected


def test_the_chain_is_verified_from_a_trust_point_down() -> None:
    dialogue = opened()
    terminal = pki().terminal("all").certificate
    assert dialogue.sw(set_dst(terminal)) == StatusWord.REFERENCED_DATA_NOT_FOUND
    assert dialogue.sw(verify_command(terminal)) == StatusWord.CONDITIONS_NOT_SATISFIED
    assert presented(dialogue, pki().dv.certificate) == StatusWord.OK
    # The CVCA's key was for the DV; the terminal's issuer must be chosen.
    assert dialogue.sw(verify_command(terminal)) == StatusWord.CONDITIONS_NOT_SATISFIED
    assert presented(dialogue, terminal) == StatusWord.OK


BROKEN = {
    "signature": 0x6300,
    "foreign issuer": 0x6300,
    "expired": 0x6300,
    "other reference": 0x6A88,
    "terminal without DV": 0x6300,
    "domain parameters below the CVCA": 0x6300,
    "truncated": 0x6A80,
    "empty": 0x6A80,
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_certificate_that_does_not_hold_is_refused_and_the_next_one_is_not(what: str) -> None:
    dialogue = opened()
    dv, private = pki().dv.certificate, pki().authority.private
    assert dialogue.sw(set_dst(dv)) == StatusWord.OK
    data = dv.signed
    match what:
        case "signature":
            data = data[:-1] + bytes((data[-1] ^ 1,))
        case "foreign issuer":
            data = resigned(dv, private=private + 1).signed
        case "expired":
            past = date(2020, 1, 1)
            data = resigned(dv, private=private, effective=past, expiration=past).signed
        case "other reference":
            data = resigned(dv, private=private, authority_reference=b"DEOTHER00001").signed
        case "terminal without DV":
            data = resigned(dv, private=private, chat=replace(dv.says.chat, role=Role.TERMINAL)).signed
        case "domain parameters below the CVCA":
            data = resigned(dv, private=private, key=replace(dv.says.key, curve=CURVE)).signed
        case "truncated":
            data = data[:-1]
        case _:
            data = b""
    before = dialogue.card.state
    assert dialogue.sw(Command(Ins.PERFORM_SECURITY_OPERATION, 0, 0xBE, data)) == BROKEN[what]
    assert dialogue.card.state == before
    assert presented(dialogue, dv) == StatusWord.OK


def test_more_rights_than_the_parents_have_no_effect() -> None:
    poor = resigned(
        pki().dv.certificate,
        private=pki().authority.private,
        chat=replace(pki().dv.certificate.says.chat, rights=without(AuthenticationRight.READ_DG4)),
    )
    greedy = replace(pki(), dv=replace(pki().dv, certificate=poor))
    dialogue = opened()
    dialogue.authenticate_terminal(pki=greedy)
    dialogue.authenticate_chip()
    dialogue.send(Command(Ins.SELECT, 4, 0x0C, bytes.fromhex("E80704007F00070302")))
    assert dialogue.sw(Command(Ins.READ_BINARY, 0x85, 0, ne=256)) == StatusWord.OK
    assert dialogue.sw(Command(Ins.READ_BINARY, 0x84, 0, ne=256)) == StatusWord.SECURITY_STATUS_NOT_SATISFIED


class Prover:
    """A terminal before its EXTERNAL AUTHENTICATE, its certificates presented."""

    def __init__(self, dialogue: Dialogue | None = None) -> None:
        self.dialogue = dialogue or opened()
        self.terminal = pki().terminal("all")
        for certificate in (pki().dv.certificate, self.terminal.certificate):
            assert presented(self.dialogue, certificate) == StatusWord.OK
        self.ephemeral = key_pair(4711, generator=CURVE.generator)
        says = self.terminal.certificate.says
        self.set_at = ta.SetAT(says.key.protocol, says.holder_reference, self.ephemeral.public.x_bytes)

    def announce(self, set_at: ta.SetAT | None = None) -> int:
        data = (set_at or self.set_at).encode()
        return self.dialogue.sw(Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xA4, data))

    def challenge(self) -> bytes:
        return self.dialogue.run(ta.get_challenge())

    def prove(self, challenge: bytes, set_at: ta.SetAT | None = None) -> int:
        assert self.dialogue.pace_result is not None
        set_at = set_at or self.set_at
        sign = ecdsa_signer(self.terminal.private, curve=CURVE, protocol=OID.TA_ECDSA_SHA_256)
        data = ta.signed_data(
            id_picc=self.dialogue.pace_result.id_picc,
            challenge=challenge,
            ephemeral=set_at.ephemeral,
            auxiliary=set_at.auxiliary,
        )
        return self.dialogue.sw(Command(Ins.EXTERNAL_AUTHENTICATE, 0, 0, sign(data)))


def test_the_challenge_may_come_before_the_certificates_as_in_paos() -> None:
    dialogue = opened()
    challenge = dialogue.run(ta.get_challenge())
    prover = Prover(dialogue)
    assert prover.announce() == StatusWord.OK
    assert prover.prove(challenge) == StatusWord.OK


def test_a_challenge_is_good_for_one_signature() -> None:
    prover = Prover()
    challenge = prover.challenge()
    prover.announce()
    assert prover.prove(b"12345678") == StatusWord.WARNING_CHANGED_STATE
    prover.announce()
    assert prover.prove(challenge) == StatusWord.CONDITIONS_NOT_SATISFIED
    prover.challenge()
    assert prover.prove(challenge) == StatusWord.WARNING_CHANGED_STATE


def test_of_two_challenges_the_second_counts() -> None:
    prover = Prover()
    first, second = prover.challenge(), prover.challenge()
    prover.announce()
    assert first != second
    assert prover.prove(second) == StatusWord.OK


def test_without_an_announced_key_there_is_nothing_to_prove() -> None:
    prover = Prover()
    assert prover.prove(prover.challenge()) == StatusWord.CONDITIONS_NOT_SATISFIED


def test_nobody_authenticates_with_anothers_certificate() -> None:
    prover = Prover()
    prover.terminal = replace(prover.terminal, private=prover.terminal.private + 1)
    challenge = prover.challenge()
    prover.announce()
    assert prover.prove(challenge) == StatusWord.WARNING_CHANGED_STATE


def test_a_dv_is_no_terminal() -> None:
    prover = Prover()
    challenge = prover.challenge()
    of_dv = replace(prover.set_at, reference=pki().dv.certificate.says.holder_reference)
    assert prover.announce(of_dv) == StatusWord.OK
    assert prover.prove(challenge, of_dv) == StatusWord.WARNING_CHANGED_STATE


@pytest.mark.parametrize("auxiliary", [b"\x67\x02\x73\x00", b"\x73\x00", b"\x67"])
def test_auxiliary_data_of_another_form_are_refused_at_once(auxiliary: bytes) -> None:
    prover = Prover()
    assert prover.announce(replace(prover.set_at, auxiliary=auxiliary)) == StatusWord.WRONG_DATA


def test_a_key_is_announced_under_a_known_name() -> None:
    assert Prover().announce(replace(Prover().set_at, reference=b"DEOTHER00001")) == 0x6A88


def test_who_is_authenticated_cannot_become_somebody_else() -> None:
    dialogue = opened()
    dialogue.authenticate_terminal()
    assert dialogue.sw(set_dst(pki().dv.certificate)) == StatusWord.CONDITIONS_NOT_SATISFIED


@pytest.mark.parametrize(("data", "ne"), [(b"x", 8), (b"", 7), (b"", 0), (b"", 9)])
def test_a_challenge_is_eight_bytes(data: bytes, ne: int) -> None:
    assert opened().sw(Command(Ins.GET_CHALLENGE, 0, 0, data, ne=ne)) == StatusWord.WRONG_LENGTH


def test_outside_of_secure_messaging_there_is_no_authentication() -> None:
    dialogue = Dialogue(card())
    for command in (
        Command(Ins.GET_CHALLENGE, 0, 0, ne=8),
        set_dst(pki().dv.certificate),
        verify_command(pki().dv.certificate),
        Command(Ins.EXTERNAL_AUTHENTICATE, 0, 0, bytes(64)),
        Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xA4, Prover().set_at.encode()),
        Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4, KeySetAT(CA_PROTOCOL).encode()),
        Command(Ins.VERIFY, 0x80, 0, build(6, encode_oid(OID.AUXILIARY_DATE_OF_BIRTH)), cla=0x80),
    ):
        assert dialogue.sw(command) == StatusWord.SECURITY_STATUS_NOT_SATISFIED, command


def _choose(protocol: str, key_id: int | None = None) -> Command:
    return Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4, KeySetAT(protocol, key_id).encode())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (_choose(CA_PROTOCOL), 0x9000),
        (_choose(CA_PROTOCOL, CA_KEY), 0x9000),
        (_choose(CA_PROTOCOL, 1), 0x6A88),
        (_choose(OID.CA_ECDH_AES_CBC_CMAC_256), 0x6A80),
        (_choose(OID.RI_ECDH_SHA_256, RI_REVOCATION_KEY), 0x6982),
        (Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4), 0x6A80),
    ],
)
def test_chip_authentication_is_chosen_by_its_protocol_and_key(command: Command, expected: int) -> None:
    dialogue = opened()
    dialogue.authenticate_terminal()
    assert dialogue.sw(command) == expected


def test_chip_authentication_takes_the_key_that_the_terminal_signed_and_no_other() -> None:
    dialogue = opened()
    dialogue.authenticate_terminal()
    assert dialogue.ephemeral is not None
    other = key_pair(4711, generator=CURVE.generator).public
    for data in (
        build(0x7C, build(0x80, other.encode())),
        build(0x7C, build(0x80, b"\x04" + bytes(64))),
        build(0x7C, build(0x80, other.encode()[:-1])),
        build(0x7C),
        b"",
    ):
        assert dialogue.sw(_choose(CA_PROTOCOL)) == StatusWord.OK
        assert dialogue.sw(Command(Ins.GENERAL_AUTHENTICATE, 0, 0, data, ne=256)) == StatusWord.WRONG_DATA
    right = build(0x7C, build(0x80, dialogue.ephemeral.public.encode()))
    command = Command(Ins.GENERAL_AUTHENTICATE, 0, 0, right, ne=256)
    # The failure before has ended what MSE:Set AT had begun.
    assert dialogue.sw(command) == StatusWord.CONDITIONS_NOT_SATISFIED
    dialogue.authenticate_chip()


def test_a_card_of_another_country_trusts_nobody_here() -> None:
    abroad: PKI = new_pki(now=NOW, random=stream("abroad"))
    dialogue = opened()
    assert dialogue.sw(set_dst(abroad.dv.certificate)) == StatusWord.OK
    assert dialogue.sw(verify_command(abroad.dv.certificate)) == StatusWord.WARNING_CHANGED_STATE
