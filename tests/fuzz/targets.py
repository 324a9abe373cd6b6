"""Every parser of what comes from outside, as a function of bytes that may raise our own errors and nothing else."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tests.emulation.card import world as card_world
from useid_middleware._codec import DecodeError
from useid_middleware.eac import (
    apdu,
    auxiliary_data,
    card_security,
    certificate_description,
    chat,
    cvc,
    oids,
    security_info_parsing,
    tlv,
)
from useid_middleware.eac.curves import BRAINPOOL_P256R1, Point
from useid_middleware.errors import UseIDError
from useid_middleware.http.cookies import Cookie
from useid_middleware.http.redirects import check_redirect
from useid_middleware.http.requests import parse_pairs
from useid_middleware.oidc.core.callback import read_parameters
from useid_middleware.oidc.core.jose import claimed_issuer, verify_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.metadata import parse_metadata
from useid_middleware.oidc.core.strict_json import JSONRefused, read_object
from useid_middleware.oidc.core.tokens import parse_token_response
from useid_middleware.qr.core.link import parse_link

Target = Callable[[bytes], object]

_COOKIE: Final = Cookie("useid-session")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _transmit(data: bytes) -> None:
    """A card takes any bytes for commands, one after the other, and answers each with at least a status word."""
    card = card_world.card()
    for command in data.split(b"\xff\xff")[:20]:
        assert len(card.transmit(command)) >= 2


TARGETS: Final[Mapping[str, Target]] = {
    "tlv": tlv.parse_all,
    "apdu": apdu.Command.decode,
    "response": apdu.Response.decode,
    "oid": oids.decode_oid,
    "point": lambda data: Point.decode(BRAINPOOL_P256R1, data),
    "security-infos": security_info_parsing.parse_security_infos,
    "card-security": card_security.parse_card_security,
    "cv-certificate": cvc.parse_certificate,
    "certificate-description": certificate_description.parse_description,
    "chat": chat.CHAT.decode,
    "auxiliary-data": auxiliary_data.parse_auxiliary_data,
    "card": _transmit,
    "json": read_object,
    "jwks": KeySet.parse,
    "token": lambda data: verify_token(_text(data), KeySet(), algorithms=("RS256", "ES256"), name="id_token"),
    "claimed-issuer": lambda data: claimed_issuer(_text(data)),
    "metadata": lambda data: parse_metadata(data, expected_issuer="https://op.example"),
    "token-response": lambda data: parse_token_response(
        200, "application/json", data, now=0.0, expects_id_token=False, expected_token_type="Bearer"
    ),
    "callback": lambda data: read_parameters(parse_pairs(_text(data))),
    "cookie": lambda data: _COOKIE.read([(b"cookie", data)], secure=False),
    "redirect": lambda data: check_redirect(_text(data), origin="https://app.example"),
    "link": lambda data: parse_link(_text(data), scheme="tana"),
}


def run(name: str, data: bytes) -> None:
    """One input for one parser; whatever it raises besides our own errors is a finding."""
    with suppress(UseIDError, DecodeError, JSONRefused):
        TARGETS[name](data)
