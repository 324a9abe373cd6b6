"""What the server's tests share: a PKI with its terminal, and an eID client of a few lines with a card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Final

from tests.emulation.card.world import NOW, Dialogue, stream
from tests.emulation.card.world import pki as card_pki
from useid_middleware.eac.apdu import Response
from useid_middleware.eac.card_security import parse_card_security
from useid_middleware.eac.certificate_chain import find_chain
from useid_middleware.eac.chat import CHAT
from useid_middleware.eac.chip_authentication import SetAT as ChipSetAT
from useid_middleware.eac.chip_authentication import ask_chip
from useid_middleware.eac.curves import Point, curve_by_id
from useid_middleware.eac.cvc import Certificate, parse_certificate
from useid_middleware.eac.file_identifiers import FileId
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import choose_chip_authentication
from useid_middleware.eac.terminal import read_card_access, read_file
from useid_middleware.eac.terminal_authentication import (
    SetAT,
    announce_key,
    get_challenge,
    present_certificates,
    prove_key,
)
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, Wish
from useid_middleware.eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard, fault_named
from useid_middleware.emulation.card.issuing import issue_card, with_revocations
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.card.personalisation import Personality
from useid_middleware.emulation.paos import Body, Envelope, Result
from useid_middleware.emulation.pki import PKI, TerminalRequest, issue_terminal
from useid_middleware.emulation.server.material import TERMINAL, ServerMaterial, material_of
from useid_middleware.emulation.server.terminal import with_terminal

ORIGIN: Final = "https://auth.example"
OK: Final = Result(MAJOR_OK)
CANCELLED: Final = Result(MAJOR_ERROR, ClientMinor.CANCELLATION_BY_USER, "no, thanks")

#: Everything that a usual terminal may ask.
EVERYTHING: Final = UseIDRequest(
    {
        **dict.fromkeys((each for each in Operation if each is not Operation.RESIDENCE_PERMIT_I), Wish.REQUIRED),
        Operation.ARTISTIC_NAME: Wish.ALLOWED,
        Operation.ACADEMIC_TITLE: Wish.ALLOWED,
        Operation.RESIDENCE_PERMIT_I: Wish.ALLOWED,
    },
    age=18,
    community_id="0276",
    transaction_info="TEST transaction",
)
PSEUDONYM: Final = UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED})


@cache
def pki(*, migrating: bool = False) -> PKI:
    """The cards' PKI with a terminal for the server; with two sectors if ``migrating``. ``revoked`` is revoked."""
    made = with_revocations(card_pki(), personality_named("revoked"))
    if migrating:
        request = TerminalRequest(subject_url=ORIGIN, tls_hashes=(sha256(b"tls").digest(),), migrating=True)
        made = issue_terminal(made, TERMINAL, request=request, now=NOW, random=stream("migrating"))
    return with_terminal(made, origin=ORIGIN, tls_ders=[b"tls"], now=NOW, random=stream("server"))


@cache
def material(*, migrating: bool = False) -> ServerMaterial:
    """What the server works with."""
    return material_of(pki(migrating=migrating))


def card_of(personality: str | Personality = "erika", *, fault: str = "", label: str = "card") -> Card | FaultyCard:
    """A card of the server's PKI. ``label`` makes its random bytes."""
    whose = personality_named(personality) if isinstance(personality, str) else personality
    return issue_card(
        whose,
        pki=pki(),
        today=NOW.date(),
        random=stream(label),
        fault=fault_named(fault) if fault else None,
    )


#: The personalities with a PIN that a login can be made with, on a card that is neither revoked nor expired.
USABLE: Final = ("erika", "no-academic-title", "no-artistic-name", "residence-permit")

#: Changes a message of the client before it is sent; by the number of the message, StartPAOS being 0.
Tamper = Callable[[Envelope], Envelope]


def with_data(**changes: object) -> Tamper:
    """Changes members of a DIDAuthenticateResponse's data."""

    def tamper(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.DIDAuthenticateResponse)
        assert body.data is not None
        return replace(envelope, body=replace(body, data=replace(body.data, **changes)))  # type: ignore[arg-type]

    return tamper


def with_body(body: Body) -> Tamper:
    """Sends another message instead, in its place."""
    return lambda envelope: replace(envelope, body=body)


@dataclass
class Client:
    """An eID client that does as it is told, with a card and a PIN; ``granted`` are optional rights that stay.

    ``fresh_challenge`` draws a new one for EACAdditionalInputType; the stock client sends the one it sent already.
    """

    psk_id: str
    card: Card | FaultyCard = field(default_factory=card_of)
    granted: int = -1
    fresh_challenge: bool = False
    slot_handle: str = "0A1B"
    tampers: Mapping[int, Tamper] = field(default_factory=dict)
    #: What came from the server, and what went there.
    received: list[Envelope] = field(default_factory=list)
    sent: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dialogue = Dialogue(self.card, random=stream("client"))
        self._certificates: tuple[Certificate, ...] = ()
        self._auxiliary = b""
        self._challenge = b""
        self._ephemeral = b""

    def start(self) -> Envelope:
        """StartPAOS."""
        return self._send(paos.StartPAOS(self.psk_id, self.slot_handle, "context"), "")

    def respond(self, received: Envelope) -> Envelope:
        """The answer to a message of the server."""
        self.received.append(received)
        return self._send(self._answer(received.body), received.message_id)

    def _send(self, body: Body, relates_to: str) -> Envelope:
        number = len(self.sent)
        envelope = Envelope(f"urn:uuid:client-{number}", body, relates_to)
        if number in self.tampers:
            envelope = self.tampers[number](envelope)
        self.sent.append(envelope)
        return envelope

    def _answer(self, body: Body) -> Body:
        match body:
            case paos.InitializeFramework():
                return paos.InitializeFrameworkResponse(OK)
            case paos.DIDList():
                return paos.DIDListResponse(OK)
            case paos.DIDAuthenticate(data=paos.EAC1Input() as data):
                return self._eac1(data)
            case paos.DIDAuthenticate(data=paos.EAC2Input() as data):
                return self._eac2(data)
            case paos.DIDAuthenticate(data=paos.EACAdditionalInput() as data):
                return self._prove(data.signature)
            case paos.Transmit():
                return self._transmit(body)
        raise AssertionError(f"a client has no answer to {type(body).__name__}")

    def _eac1(self, data: paos.EAC1Input) -> Body:
        self._certificates = tuple(map(parse_certificate, data.certificates))
        self._auxiliary = data.auxiliary_data or b""
        assert data.required_chat is not None
        assert data.optional_chat is not None
        required, optional = CHAT.decode(data.required_chat).rights, CHAT.decode(data.optional_chat).rights
        chosen = CHAT.decode(data.required_chat)
        rights = required | (optional & self.granted)
        card_access, _ = self._dialogue.run(read_card_access())
        pace = self._dialogue.pace(rights=rights)
        self._challenge = self._dialogue.run(get_challenge())
        return paos.DIDAuthenticateResponse(
            OK,
            paos.EAC1Output(
                chat=replace(chosen, rights=rights).encode(),
                references=tuple(pace.references),
                card_access=card_access,
                id_picc=pace.id_picc,
                challenge=self._challenge,
            ),
        )

    def _eac2(self, data: paos.EAC2Input) -> Body:
        self._certificates += tuple(map(parse_certificate, data.certificates))
        self._ephemeral = data.ephemeral_key
        if data.signature is not None:
            return self._prove(data.signature)
        if self.fresh_challenge:
            self._challenge = self._dialogue.run(get_challenge())
        return paos.DIDAuthenticateResponse(OK, paos.EAC2Output(challenge=self._challenge))

    def _prove(self, signature: bytes) -> Body:
        """Terminal Authentication with the server's signature, then EF.CardSecurity and the chip's answer."""
        assert self._dialogue.pace_result is not None
        run = self._dialogue.run
        chain = find_chain(self._certificates, references=self._dialogue.pace_result.references)
        terminal = chain[-1].says
        ephemeral = Point.decode(curve_by_id(13), self._ephemeral)
        run(present_certificates(chain))
        run(announce_key(SetAT(terminal.key.protocol, terminal.holder_reference, ephemeral.x_bytes, self._auxiliary)))
        run(prove_key(signature))
        card_security = run(read_file(FileId.EF_CARD_SECURITY))
        info, _ = choose_chip_authentication(parse_security_infos(parse_card_security(card_security).content))
        answer = run(ask_chip(ChipSetAT(info.protocol, info.key_id), ephemeral=ephemeral))
        return paos.DIDAuthenticateResponse(
            OK, paos.EAC2Output(card_security=card_security, token=answer.token, nonce=answer.nonce)
        )

    def _transmit(self, body: paos.Transmit) -> Body:
        assert body.slot_handle == self.slot_handle
        apdus: list[bytes] = []
        for each in body.apdus:
            apdus.append(self.card.transmit(each.apdu))
            word = Response.decode(apdus[-1]).sw.to_bytes(2, "big")
            if each.acceptable and not any(word.startswith(prefix) for prefix in each.acceptable):
                return paos.TransmitResponse(Result(MAJOR_ERROR, ClientMinor.INTERNAL_ERROR), tuple(apdus))
        return paos.TransmitResponse(OK, tuple(apdus))
