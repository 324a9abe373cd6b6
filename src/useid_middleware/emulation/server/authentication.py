"""EAC in PAOS: who asks and for what, the terminal's proof, and the chip's (TR-03112-7 §3.6, TR-03110-2 §3.3, §3.4)."""

from typing import Final

from ..._codec import replace
from ...eac.card_security import verify_card_security
from ...eac.certificate_chain import find_chain
from ...eac.chat import CHAT, check_selected
from ...eac.chip_authentication import ChipAnswer, verify_chip
from ...eac.curves import Curve, KeyPair, curve_by_id, key_pair, scalar
from ...eac.errors import EACError, SecurityInfoError
from ...eac.oids import CA_PROTOCOLS
from ...eac.security_info_parsing import parse_security_infos
from ...eac.security_infos import (
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    RestrictedIdentificationInfo,
    SecurityInfos,
    check_consistency,
)
from ...eac.terminal_authentication import CHALLENGE_SIZE, signed_data
from ...eid.core.attributes import Operation
from .. import paos
from .data_groups import RIGHTS
from .identification import ask_card
from .material import ServerMaterial, Turn
from .requests import accepted_types, accepts_card, auxiliary_data, chat_of, requested_rights
from .results import Failure, SessionFailed, check_result
from .session import Answer, EACSession, Step, Variant, request_of

_MAX_ID_PICC: Final = 256
_DID: Final = "PIN"
_VERSION: Final = 2


def request_chip(session: EACSession, turn: Turn) -> Answer:
    """EAC1InputType: who asks, for what, and what the card shall verify."""
    request, material = request_of(session), turn.material
    rights = requested_rights(request)
    auxiliary = auxiliary_data(request, today=turn.now.date()).encode()
    data = paos.EAC1Input(
        certificates=tuple(each.encode() for each in material.presented),
        certificate_description=material.description,
        required_chat=chat_of(rights.required),
        optional_chat=chat_of(rights.optional),
        auxiliary_data=auxiliary,
        transaction_info=request.transaction_info,
        accepted_eid_types=accepted_types(request),
    )
    session = replace(session, terminal=material.reference, auxiliary=auxiliary)
    return Step.REQUEST, session, _authenticate(session, data)


def on_chip(session: EACSession, body: paos.DIDAuthenticateResponse, turn: Turn) -> Answer:
    """EAC1OutputType: what the user has left of the rights, and the chip's challenge."""
    check_result(body.result)
    data, request, material = body.data, request_of(session), turn.material
    if not isinstance(data, paos.EAC1Output):
        raise SessionFailed(Failure.BAD_PARAMETER, "DIDAuthenticateResponse: expected EAC1OutputType")
    _check_challenge(data.challenge)
    if not 0 < len(data.id_picc) <= _MAX_ID_PICC:
        raise SessionFailed(Failure.BAD_PARAMETER, "IDPICC: expected the chip's ephemeral key")
    if not accepts_card(request):
        raise SessionFailed(Failure.OTHER, "EIDTypeRequest: a card is not accepted")
    _check_terminal(session, material)
    requested = requested_rights(request)
    rights = requested.required | requested.optional
    if data.chat is not None:
        chat = CHAT.decode(data.chat)
        if (chat.terminal_type, chat.role) != (material.chat.terminal_type, material.chat.role):
            raise SessionFailed(Failure.OTHER, "CertificateHolderAuthorizationTemplate: expected that of a terminal")
        rights = check_selected(chat.rights, requested=requested)
    # A client names trust points where what it has been given leads from none of them to the terminal: there is no
    # more to give. One that has found the way (AusweisApp2) names none.
    if data.references:
        find_chain(material.presented, references=data.references)
    curve = _chip_curve(parse_security_infos(data.card_access))
    ephemeral = key_pair(scalar(curve, turn.drawn), generator=curve.generator)
    session = replace(
        session,
        rights=rights,
        card_access=data.card_access,
        id_picc=data.id_picc,
        challenge=data.challenge,
        curve=curve.parameter_id,
        ephemeral=ephemeral.private.to_bytes(curve.order_size, "big"),
    )
    public = ephemeral.public.encode()
    if Variant.EAC_ADDITIONAL in session.variant:
        return Step.ANNOUNCE, session, _authenticate(session, paos.EAC2Input((), public, None))
    signature = _signature(session, ephemeral, material)
    return Step.PROVE, session, _authenticate(session, paos.EAC2Input((), public, signature))


def on_challenge(session: EACSession, body: paos.DIDAuthenticateResponse, turn: Turn) -> Answer:
    """EAC2OutputType with the challenge to be signed: the one that we know, or a new one."""
    check_result(body.result)
    data = body.data
    if not isinstance(data, paos.EAC2Output) or data.challenge is None:
        raise SessionFailed(Failure.BAD_PARAMETER, "DIDAuthenticateResponse: expected EAC2OutputType with a challenge")
    if (data.card_security, data.token, data.nonce) != (None, None, None):
        raise SessionFailed(Failure.BAD_PARAMETER, "EAC2OutputType: expected a challenge and nothing else")
    _check_challenge(data.challenge)
    _check_terminal(session, turn.material)
    session = replace(session, challenge=data.challenge)
    proof = paos.EACAdditionalInput(_signature(session, _key_pair(session), turn.material))
    return Step.PROVE, session, _authenticate(session, proof)


def on_genuine(session: EACSession, body: paos.DIDAuthenticateResponse, turn: Turn) -> Answer:
    """EAC2OutputType: passive and chip authentication, and the first questions in the new channel."""
    check_result(body.result)
    data = body.data
    if not isinstance(data, paos.EAC2Output) or data.challenge is not None:
        raise SessionFailed(Failure.BAD_PARAMETER, "DIDAuthenticateResponse: expected EAC2OutputType, no challenge")
    if data.card_security is None or data.token is None or data.nonce is None:
        raise SessionFailed(
            Failure.BAD_PARAMETER, "EAC2OutputType: expected EFCardSecurity, AuthenticationToken and Nonce"
        )
    try:
        infos = verify_card_security(
            data.card_security,
            trusted=turn.material.trusted,
            now=turn.now,
            revoked=turn.material.revoked_signers,
        )
        check_consistency(card_access=parse_security_infos(session.card_access), card_security=infos)
        keys = verify_chip(ChipAnswer(data.nonce, data.token), card_security=infos, ephemeral=_key_pair(session))
    except EACError as error:
        raise SessionFailed(Failure.NOT_GENUINE, error.message) from None
    revocation_key, pseudonym_key = _identification_keys(infos)
    asks_pseudonym = bool(session.rights & RIGHTS[Operation.RESTRICTED_ID])
    session = replace(
        session,
        enc=keys.enc,
        mac=keys.mac,
        revocation_key=revocation_key,
        pseudonym_key=pseudonym_key if asks_pseudonym else None,
    )
    return ask_card(session, turn.material)


def _authenticate(session: EACSession, data: paos.EAC1Input | paos.EAC2Input | paos.EACAdditionalInput) -> paos.Body:
    return paos.DIDAuthenticate(session.slot_handle, _DID, data, session.context_handle)


def _check_challenge(challenge: bytes) -> None:
    if len(challenge) != CHALLENGE_SIZE:
        raise SessionFailed(Failure.BAD_PARAMETER, f"Challenge: expected {CHALLENGE_SIZE} bytes")


def _check_terminal(session: EACSession, material: ServerMaterial) -> None:
    """Whether we still are the terminal that was presented."""
    if session.terminal != material.reference:
        raise SessionFailed(Failure.OTHER, "the terminal's certificate was renewed meanwhile")


def _key_pair(session: EACSession) -> KeyPair:
    return key_pair(int.from_bytes(session.ephemeral, "big"), generator=curve_by_id(session.curve).generator)


def _signature(session: EACSession, ephemeral: KeyPair, material: ServerMaterial) -> bytes:
    return material.sign(
        signed_data(
            id_picc=session.id_picc,
            challenge=session.challenge,
            ephemeral=ephemeral.public.x_bytes,
            auxiliary=session.auxiliary,
        )
    )


def _chip_curve(infos: SecurityInfos) -> Curve:
    """The curve that the chip's key is on, by EF.CardAccess; ``EACError`` for none that is known here."""
    parameters = {info.key_id: info.parameter_id for info in infos.of(ChipAuthenticationDomainParameterInfo)}
    for info in infos.of(ChipAuthenticationInfo):
        if info.version == _VERSION and info.protocol in CA_PROTOCOLS and info.key_id in parameters:
            return curve_by_id(parameters[info.key_id])
    raise SecurityInfoError("EF.CardAccess: expected CA v2 with AES and its domain parameters")


def _identification_keys(infos: SecurityInfos) -> tuple[int, int | None]:
    """The card's key behind the revocation list, and the one behind pseudonyms (TR-03110-3 A.1.1.4)."""
    keys = {info.authorized_only: info.key_id for info in infos.of(RestrictedIdentificationInfo)}
    if False not in keys:
        raise SessionFailed(Failure.CARD_REFUSED, "EF.CardSecurity: expected a key to look for revoked cards")
    return keys[False], keys.get(True)
