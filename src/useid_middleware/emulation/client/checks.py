"""What a client must be sure of before it shows anything to a person (TR-03124-1 §2.5, TR-03112-7 §3.6.4.1)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from ...eac.auxiliary_data import AuxiliaryData, parse_auxiliary_data
from ...eac.certificate_chain import Verified, verify_chain
from ...eac.certificate_description import CertificateDescription, check_tls_certificate, verify_description
from ...eac.chat import CHAT, RequestedRights, Role, TerminalType, check_requested, check_selected, rights_named
from ...eac.cvc import Certificate, parse_certificate
from ...eac.errors import EACError
from ...eid.core.results import ClientMinor
from ...eid.core.tctoken import TCToken, parse_tctoken
from ...errors import RequestError
from ..paos import EAC1Input
from .actions import Authentication
from .addresses import check_address, same_origin
from .failure import Failure, no_channel

_DV: Final = (Role.DV_OFFICIAL, Role.DV_NON_OFFICIAL)
#: What a card is, among the kinds of eID (TR-03130-1).
_CARD: Final = "CardCertified"


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request for authentication that may be shown to a person.

    ``certificates`` are all that came with it, ``chat`` that of the terminal with the rights of its chain.
    """

    certificates: tuple[Certificate, ...]
    terminal: Certificate
    chat: CHAT
    description: CertificateDescription
    rights: RequestedRights
    auxiliary: bytes
    questions: AuxiliaryData
    transaction_info: str

    def facts(self, *, today: date) -> Authentication:
        """What the person is shown."""
        description, born_by = self.description, self.questions.born_by
        return Authentication(
            subject_name=description.subject_name,
            subject_url=description.subject_url or "",
            issuer_name=description.issuer_name,
            issuer_url=description.issuer_url or "",
            terms_of_usage=description.text or "",
            valid_from=self.terminal.says.effective,
            valid_to=self.terminal.says.expiration,
            required=self._names(self.rights.required),
            optional=self._names(self.rights.optional),
            born_by=born_by,
            age=None if born_by is None else _years(born_by, today=today),
            community_id=(self.questions.community_id or b"").hex(),
            transaction_info=self.transaction_info,
        )

    def granted(self, names: Iterable[str]) -> CHAT:
        """The terminal's template with the required rights and these; ``ChatError`` for what nobody asked for."""
        chosen = self.rights.required | rights_named(names, terminal_type=self.chat.terminal_type)
        return replace(self.chat, rights=check_selected(chosen, requested=self.rights))

    def _names(self, rights: int) -> tuple[str, ...]:
        return replace(self.chat, rights=rights).names


def check_token(body: bytes, *, allow_loopback_http: bool) -> TCToken:
    """The tcToken; ``Failure`` unless it is one whose addresses may be used (TR-03124-1 §2.3).

    One that tells of an error is returned as well, and one with a key is refused: there is no TLS with keys here.
    """
    try:
        token = parse_tctoken(body)
    except RequestError as error:
        raise no_channel(error.message) from None
    if token.psk or token.path_security:
        raise no_channel("tcToken: expected an attached eID server, found PathSecurity")
    addresses = (token.communication_error_address, token.refresh_address, token.server_address)
    for address in filter(None, addresses):
        check_address(address, allow_loopback_http=allow_loopback_http)
    return token


def check_request(
    request: EAC1Input,
    *,
    tc_token_url: str,
    tls_certificates: Iterable[bytes],
    trusted: Collection[Verified],
    today: date,
) -> CheckedRequest:
    """The request, if it is what its certificates say; ``Failure`` or ``EACError`` otherwise.

    ``tls_certificates`` are those of all servers so far. ``trusted`` are the CVCA certificates that the client knows.
    """
    if request.accepted_eid_types and _CARD not in request.accepted_eid_types:
        raise Failure(
            "card_refused",
            "AcceptedEIDType: expected a card to be accepted",
            minor=ClientMinor.PREREQUISITES_NOT_SATISFIED,
        )
    certificates = tuple(parse_certificate(each) for each in request.certificates)
    terminal = _only(certificates, (Role.TERMINAL,), "terminal certificate")
    _only(certificates, _DV, "DV certificate")
    verified = verify_chain(certificates, trusted=trusted, today=today)
    if verified.chat.terminal_type is not TerminalType.AUTHENTICATION_TERMINAL:
        raise _refused("terminal certificate: expected that of an authentication terminal")
    description = verify_description(request.certificate_description, certificate=terminal)
    if description.subject_url is None or not same_origin(description.subject_url, tc_token_url):
        raise _refused("subjectURL: expected the origin of the tcTokenURL")
    for der in tls_certificates:
        check_server(description, der)
    required, optional = (
        None if data is None else CHAT.decode(data) for data in (request.required_chat, request.optional_chat)
    )
    auxiliary = request.auxiliary_data or b""
    return CheckedRequest(
        certificates=certificates,
        terminal=terminal,
        chat=verified.chat,
        description=description,
        rights=check_requested(required=required, optional=optional, allowed=verified.chat),
        auxiliary=auxiliary,
        questions=parse_auxiliary_data(auxiliary),
        transaction_info=request.transaction_info,
    )


def check_server(description: CertificateDescription | None, tls_certificate: bytes | None) -> None:
    """``channel_failed`` unless the description has this TLS certificate (TR-03124-1 §2.7).

    Without a description nothing is known yet, and without TLS there is nothing to check.
    """
    if description is None or tls_certificate is None:
        return
    try:
        check_tls_certificate(description, der=tls_certificate)
    except EACError as error:
        raise no_channel(error.message) from None


def _only(certificates: tuple[Certificate, ...], roles: Collection[Role], name: str) -> Certificate:
    found = [each for each in certificates if each.says.chat.role in roles]
    if len(found) != 1:
        raise _refused(f"Certificate: expected one {name}, found {len(found)}")
    return found[0]


def _years(born: date, *, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _refused(message: str) -> Failure:
    return Failure("request_refused", message, minor=ClientMinor.INCORRECT_PARAMETER)
