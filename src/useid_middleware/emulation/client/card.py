"""The client's part with the card: the password, PACE, and the proofs of terminal and chip (TR-03110-2 §3.1).

The PIN has three tries. The last is made in a channel of the CAN only, so that nobody can use up the tries of a card
from afar. A terminal with the right to it is content with the CAN.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...eac.apdu import Command, Ins, Response, StatusWord, retries_left
from ...eac.card_security import parse_card_security
from ...eac.certificate_chain import find_chain
from ...eac.chip_authentication import ChipAnswer, ask_chip
from ...eac.chip_authentication import SetAT as ChipSetAT
from ...eac.curves import EXTRA_RANDOM, Curve, Point, curve_by_id, scalar
from ...eac.cvc import Certificate
from ...eac.errors import SecurityInfoError, StatusWordError
from ...eac.exchange import Exchange, T
from ...eac.file_identifiers import FileId
from ...eac.keys import PasswordId
from ...eac.pace import PACEResult
from ...eac.pace import SetAT as PACESetAT
from ...eac.secure_messaging import SecureSession, protect_exchange
from ...eac.security_info_parsing import parse_security_infos
from ...eac.security_infos import (
    ChipAuthenticationDomainParameterInfo,
    PACEInfo,
    choose_chip_authentication,
    choose_pace,
)
from ...eac.terminal import pace_from_offer, read_card_access, read_file
from ...eac.terminal_authentication import SetAT, announce_key, get_challenge, present_certificates, prove_key
from ...eid.core.results import ClientMinor
from .actions import Flow, PasswordRequest, Transmit
from .failure import Failure, cancelled

#: So many fresh random bytes.
Random: TypeAlias = Callable[[int], bytes]

_SET_AT_PACE: Final = (0xC1, 0xA4)
_DIGITS: Final = 6
_ALL_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card after PACE: its EF.CardAccess, what PACE said, its challenge, and the channel as it stands."""

    card_access: bytes
    pace: PACEResult
    challenge: bytes
    session: SecureSession


@dataclass(frozen=True, slots=True)
class ChipProof:
    """What proves to the server that the chip is genuine."""

    card_security: bytes
    answer: ChipAnswer


def open_card(chat: bytes, *, is_can_enough: bool, random: Random) -> Flow[OpenCard]:
    """Ask for the password and run PACE with it, until it is right or cannot be; then GET CHALLENGE.

    ``chat`` is a whole 7F4C. ``Failure`` if the person cancels or the PIN cannot be used, ``EACError`` if the card
    refuses or is none.
    """
    card_access, infos = yield from on_card(read_card_access())
    offer = choose_pace(infos)
    if is_can_enough:
        pace = yield from _enter_can(offer, chat=chat, random=random)
    else:
        pace = yield from _enter_pin(offer, chat=chat, random=random)
    challenge, session = yield from on_card(protect_exchange(get_challenge(), SecureSession(pace.keys)))
    return OpenCard(card_access, pace, challenge, session)


def prove(
    card: OpenCard, certificates: tuple[Certificate, ...], *, ephemeral_key: bytes, auxiliary: bytes, signature: bytes
) -> Flow[ChipProof]:
    """Terminal Authentication with the server's signature, EF.CardSecurity, and the chip's answer.

    ``certificates`` are in any order; the card picks where its trust begins. ``EACError`` if the card refuses.
    """
    chain = find_chain(certificates, references=card.pace.references)
    ephemeral = Point.decode(_chip_curve(card.card_access), ephemeral_key)
    exchange = _prove(chain, ephemeral=ephemeral, auxiliary=auxiliary, signature=signature)
    proof, _ = yield from on_card(protect_exchange(exchange, card.session))
    return proof


def on_card(exchange: Exchange[T]) -> Generator[Transmit, bytes, T]:
    """Run an exchange with the card."""
    try:
        command = next(exchange)
        while True:
            answer = yield Transmit(command.encode())
            command = exchange.send(Response.decode(answer))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        exchange.close()


def _prove(
    chain: tuple[Certificate, ...], *, ephemeral: Point, auxiliary: bytes, signature: bytes
) -> Exchange[ChipProof]:
    terminal = chain[-1].says
    yield from present_certificates(chain)
    yield from announce_key(SetAT(terminal.key.protocol, terminal.holder_reference, ephemeral.x_bytes, auxiliary))
    yield from prove_key(signature)
    card_security = yield from read_file(FileId.EF_CARD_SECURITY)
    # Whether the file is genuine is for the server to find out: here it only says which key to ask for.
    info, _ = choose_chip_authentication(parse_security_infos(parse_card_security(card_security).content))
    answer = yield from ask_chip(ChipSetAT(info.protocol, info.key_id), ephemeral=ephemeral)
    return ChipProof(card_security, answer)


def _enter_pin(offer: tuple[PACEInfo, Curve], *, chat: bytes, random: Random) -> Flow[PACEResult]:
    """Ask for the PIN until it is right; before the last try, for the CAN."""
    is_repeated = False
    while True:
        tries = yield from on_card(_tries_left(offer[0]))
        channel = None
        if tries == 1:
            channel = SecureSession((yield from _enter_can(offer, chat=b"", random=random)).keys)
        pin = yield from _ask(PasswordRequest(PasswordId.PIN, _DIGITS, tries, is_repeated))
        exchange = _pace(offer, pin, PasswordId.PIN, chat=chat, random=random)
        try:
            if channel is None:
                return (yield from on_card(exchange))
            return (yield from on_card(protect_exchange(exchange, channel)))[0]
        except StatusWordError as error:
            if error.status_word == StatusWord.CONDITIONS_NOT_SATISFIED:
                # Neither suspended nor blocked, and yet not usable for this: the PIN of the letter.
                raise _unusable(
                    "pin_transport", "PIN: expected one of the holder's own, found that of the letter"
                ) from None
            if retries_left(error.status_word) is None:
                raise
            is_repeated = True


def _enter_can(offer: tuple[PACEInfo, Curve], *, chat: bytes, random: Random) -> Flow[PACEResult]:
    """Ask for the CAN until it is right."""
    is_repeated = False
    while True:
        can = yield from _ask(PasswordRequest(PasswordId.CAN, _DIGITS, None, is_repeated))
        try:
            return (yield from on_card(_pace(offer, can, PasswordId.CAN, chat=chat, random=random)))
        except StatusWordError as error:
            if error.status_word != StatusWord.WARNING_CHANGED_STATE:
                raise
            is_repeated = True


def _ask(request: PasswordRequest) -> Flow[bytes]:
    password: str | None = yield request
    if not password:
        raise cancelled()
    return password.encode("latin-1", "replace")


def _pace(
    offer: tuple[PACEInfo, Curve], password: bytes, password_id: PasswordId, *, chat: bytes, random: Random
) -> Exchange[PACEResult]:
    curve = offer[1]
    size = curve.order_size + EXTRA_RANDOM
    return pace_from_offer(
        offer,
        password,
        password_id=password_id,
        mapping_key=scalar(curve, random(size)),
        agreement_key=scalar(curve, random(size)),
        chat=chat,
    )


def _tries_left(info: PACEInfo) -> Exchange[int]:
    """MSE:Set AT says how many tries the PIN has (TR-03110-3 B.11.1); ``Failure`` if it has none or is switched off."""
    data = PACESetAT(info.protocol, PasswordId.PIN, info.parameter_id).encode()
    response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *_SET_AT_PACE, data)
    if response.sw == StatusWord.OK:
        return _ALL_TRIES
    if response.sw == StatusWord.DEACTIVATED:
        raise _unusable("pin_deactivated", "PIN: expected an active one, found the eID function switched off")
    left = retries_left(response.sw)
    if left is None:
        raise StatusWordError("MSE:Set AT (PIN): expected how many tries are left", status_word=response.sw)
    if left == 0:
        raise _unusable("pin_blocked", "PIN: expected one with tries left, found it blocked")
    return left


def _chip_curve(card_access: bytes) -> Curve:
    """The curve of the chip's key as EF.CardAccess says it; ``EACError`` if it says none that is known here."""
    infos = parse_security_infos(card_access).of(ChipAuthenticationDomainParameterInfo)
    if not infos:
        raise SecurityInfoError("EF.CardAccess: expected domain parameters of Chip Authentication")
    return curve_by_id(infos[0].parameter_id)


def _unusable(code: str, message: str) -> Failure:
    return Failure(code, message, minor=ClientMinor.PREREQUISITES_NOT_SATISFIED)
