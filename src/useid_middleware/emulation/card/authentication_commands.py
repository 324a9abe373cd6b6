"""Terminal and Chip Authentication, Restricted Identification, auxiliary data: the card (TR-03110-3 B.2 to B.4)."""

from collections.abc import Callable, Mapping
from dataclasses import replace as replaced
from typing import Final

from ..._codec import replace
from ...eac import chip_authentication, restricted_identification
from ...eac.apdu import Response, StatusWord
from ...eac.authentication_errors import AuxiliaryDataError, TerminalAuthenticationError
from ...eac.auxiliary_data import Facts, answer, question_in
from ...eac.certificate_chain import import_certificate
from ...eac.chat import AuthenticationRight, TerminalType
from ...eac.cvc import parse_signed
from ...eac.oids import OID
from ...eac.secure_messaging import SecureSession
from ...eac.terminal_authentication import (
    CHALLENGE_SIZE,
    AuthenticatedTerminal,
    SetAT,
    reference_in,
    verify_terminal,
)
from .data_groups import DataGroup, community_id_in
from .making import CA_KEY, CA_PROTOCOL, CURVE, RI_PROTOCOL, RI_PSEUDONYM_KEY
from .refusal import Refusal
from .session import (
    OK,
    Channel,
    ChipAuthenticationChosen,
    Outcome,
    Request,
    RestrictedIdentificationChosen,
    Situation,
    UnderWay,
    authenticated_terminal,
    open_channel,
    require,
)

_AUXILIARY_DATA: Final = (0x80, 0x00)
_RIGHTS_TO_ASK: Final[Mapping[str, AuthenticationRight]] = {
    OID.AUXILIARY_DATE_OF_BIRTH: AuthenticationRight.AGE_VERIFICATION,
    OID.AUXILIARY_DATE_OF_EXPIRY: AuthenticationRight(0),
    OID.AUXILIARY_COMMUNITY_ID: AuthenticationRight.COMMUNITY_ID_VERIFICATION,
}


def choose_issuer(situation: Situation, request: Request) -> Outcome:
    """MSE:Set DST: whose key verifies the next certificate; 6A88 if the card does not know it."""
    channel = _for_terminal(situation)
    reference = reference_in(request.command.data)
    issuer = situation.state.trust.find(reference, terminal_type=TerminalType.AUTHENTICATION_TERMINAL)
    issuer = issuer or next((each for each in channel.certificates if each.reference == reference), None)
    if issuer is None:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    return situation.with_channel(replace(channel, issuer=issuer)), OK


def verify_certificate(situation: Situation, request: Request) -> Outcome:
    """PSO:Verify Certificate: 6300 if it does not verify; 6985 if no issuer was chosen."""
    channel = _for_terminal(situation)
    if channel.issuer is None:
        raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)
    certificate = parse_signed(request.command.data)
    trust, verified = import_certificate(situation.state.trust, certificate, issuer=channel.issuer)
    situation = situation.with_state(replaced(situation.state, trust=trust))
    # The key that verified is used up: each certificate is verified by the one that was chosen for it.
    known = replace(channel, issuer=None, certificates=(verified, *channel.certificates))
    return situation.with_channel(known), OK


def announce_key(situation: Situation, request: Request) -> Outcome:
    """MSE:Set AT for Terminal Authentication: 6A88 if the certificate was not verified before."""
    channel = _for_terminal(situation)
    announced = SetAT.decode(request.command.data)
    if not any(each.reference == announced.reference for each in channel.certificates):
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    return situation.with_channel(replace(channel, announced=announced)), OK


def get_challenge(situation: Situation, request: Request) -> Outcome:
    """GET CHALLENGE: eight fresh bytes for one EXTERNAL AUTHENTICATE; the terminal may ask before its certificates."""
    channel = open_channel(situation)
    if request.command.data or request.command.ne not in (CHALLENGE_SIZE, 0x100, 0x10000):
        raise Refusal(StatusWord.WRONG_LENGTH)
    challenge = request.random(CHALLENGE_SIZE)
    return situation.with_channel(replace(channel, challenge=challenge)), Response(challenge)


def authenticate_terminal(situation: Situation, request: Request) -> Outcome:
    """EXTERNAL AUTHENTICATE: 6300 if the signature does not verify, 6985 without challenge or announced key.

    Whatever comes of it, both are used up.
    """
    channel = _for_terminal(situation)
    announced, challenge = channel.announced, channel.challenge
    if announced is None or challenge is None:
        raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)
    channel = replace(channel, announced=None, challenge=None)
    certificate = next(each for each in channel.certificates if each.reference == announced.reference)
    try:
        terminal = verify_terminal(
            request.command.data, terminal=certificate, set_at=announced, id_picc=channel.id_picc, challenge=challenge
        )
    except TerminalAuthenticationError:
        return situation.with_channel(channel), Response(sw=StatusWord.WARNING_CHANGED_STATE)
    return situation.with_channel(replace(channel, terminal=terminal)), OK


def choose_key(situation: Situation, request: Request) -> Outcome:
    """MSE:Set AT for Chip Authentication or Restricted Identification; 6A80 another protocol, 6A88 another key."""
    asked = chip_authentication.SetAT.decode(request.command.data)
    choose = _CHOICES.get(asked.protocol)
    if choose is None:
        raise Refusal(StatusWord.WRONG_DATA)
    chosen = choose(situation, asked.key_id)
    return situation.with_under_way(chosen), OK


def _choose_chip_authentication(situation: Situation, key_id: int | None) -> UnderWay:
    authenticated_terminal(situation)
    if key_id not in (None, CA_KEY):
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    return ChipAuthenticationChosen()


def _choose_restricted_identification(situation: Situation, key_id: int | None) -> UnderWay:
    _with_chip_authenticated(situation)
    if key_id is None or key_id not in situation.chip.ri_keys:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    if key_id == RI_PSEUDONYM_KEY:
        require(situation, AuthenticationRight.RESTRICTED_IDENTIFICATION)
    return RestrictedIdentificationChosen(key_id)


def authenticate_chip(situation: Situation, request: Request) -> Outcome:
    """GENERAL AUTHENTICATE of Chip Authentication: the answer goes in the old channel, all that follows in the new."""
    channel = open_channel(situation)
    terminal = authenticated_terminal(situation)
    keys, data = chip_authentication.answer_terminal(
        request.command.data,
        protocol=CA_PROTOCOL,
        private=situation.chip.ca_key.private,
        curve=CURVE,
        expected_ephemeral=terminal.ephemeral,
        nonce=request.random(chip_authentication.NONCE_SIZE),
    )
    renewed = replace(channel, messaging=SecureSession(keys), chip_authenticated=True)
    return situation.with_channel(renewed), Response(data)


def identify(situation: Situation, request: Request, chosen: RestrictedIdentificationChosen) -> Outcome:
    """GENERAL AUTHENTICATE of Restricted Identification; in a chain, the second sector's key comes in its own."""
    terminal = authenticated_terminal(situation)
    data = restricted_identification.answer_request(
        request.command.data,
        protocol=RI_PROTOCOL,
        private=situation.chip.ri_keys[chosen.key_id].private,
        curve=CURVE,
        expected_digests=terminal.certificate.sector_hashes,
    )
    return situation.with_under_way(chosen if request.command.chained else None), Response(data)


def verify_auxiliary_data(situation: Situation, request: Request) -> Outcome:
    """VERIFY: 9000 yes, 6300 no, 6A88 a question that the terminal has not signed or the card cannot answer."""
    command = request.command
    if (command.p1, command.p2) != _AUXILIARY_DATA:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    question = question_in(command.data)
    terminal = _with_chip_authenticated(situation)
    right = _RIGHTS_TO_ASK.get(question)
    if right is None:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    require(situation, right)
    try:
        is_so = answer(question, asked=terminal.auxiliary, facts=_facts(situation))
    except AuxiliaryDataError:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND) from None
    return situation, OK if is_so else Response(sw=StatusWord.WARNING_CHANGED_STATE)


def _for_terminal(situation: Situation) -> Channel:
    """The channel in which a terminal can authenticate itself: PACE had a CHAT, and nobody has done so yet; 6985."""
    channel = open_channel(situation)
    if channel.chat is None or channel.terminal is not None:
        raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)
    return channel


def _with_chip_authenticated(situation: Situation) -> AuthenticatedTerminal:
    """The terminal, if Chip Authentication came after its own; 6982."""
    terminal = authenticated_terminal(situation)
    if not open_channel(situation).chip_authenticated:
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    return terminal


def _facts(situation: Situation) -> Facts:
    """What the card knows; the community is that of DG18, which authorities write anew when its holder moves."""
    content = situation.state.written.get(DataGroup.COMMUNITY_ID)
    facts = situation.chip.facts
    return facts if content is None else replaced(facts, community_id=community_id_in(content))


_CHOICES: Final[Mapping[str, Callable[[Situation, int | None], UnderWay]]] = {
    CA_PROTOCOL: _choose_chip_authentication,
    RI_PROTOCOL: _choose_restricted_identification,
}
