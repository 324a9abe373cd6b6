"""What the card's tests share: a PKI, cards, and the terminal's part of a dialogue with fixed randomness."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import shake_256
from itertools import count

from useid_middleware.eac.apdu import Command, Response
from useid_middleware.eac.auxiliary_data import AuxiliaryData
from useid_middleware.eac.card_security import verify_card_security
from useid_middleware.eac.certificate_chain import find_chain
from useid_middleware.eac.chat import CHAT, AuthenticationRight, Role, TerminalType
from useid_middleware.eac.chip_authentication import authenticate_chip
from useid_middleware.eac.curves import BRAINPOOL_P256R1, KeyPair, key_pair
from useid_middleware.eac.cvc import ecdsa_signer
from useid_middleware.eac.exchange import Exchange, T, run
from useid_middleware.eac.file_identifiers import FileId
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.pace import PACEResult
from useid_middleware.eac.secure_messaging import SecureSession, protect_command, unprotect_response
from useid_middleware.eac.terminal import pace_from_offer, read_file, read_offer, select_eid_application
from useid_middleware.eac.terminal_authentication import authenticate_terminal
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard, fault_named
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.card.session import Random
from useid_middleware.emulation.card.state import CardState
from useid_middleware.emulation.pki import PKI, TerminalRequest, issue_terminal, new_pki
from useid_middleware.emulation.pki_certificates import ALL_RIGHTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
CURVE = BRAINPOOL_P256R1

PIN, CAN, PUK = b"123456", b"500540", b"9876543210"
PASSWORDS = {PasswordId.PIN: PIN, PasswordId.CAN: CAN, PasswordId.PUK: PUK}


def stream(label: str) -> Random:
    """Bytes that look random and are the same in every run."""
    numbers = count()
    return lambda size: shake_256(f"{label} {next(numbers)}".encode()).digest(size)


@cache
def pki() -> PKI:
    """One PKI for all tests: terminals ``default``, and ``all`` with every right there is."""
    made = new_pki(now=NOW, random=stream("pki"))
    return issue_terminal(
        made, "all", request=TerminalRequest(rights=ALL_RIGHTS, migrating=True), now=NOW, random=stream("all")
    )


def card(personality: str = "erika", *, state: CardState | None = None) -> Card:
    """A card of this personality."""
    made = issue_card(personality_named(personality), pki=pki(), today=TODAY, random=stream("card"), state=state)
    assert isinstance(made, Card)
    return made


def faulty_card(fault: str) -> FaultyCard:
    """Erika's card with a fault."""
    made = issue_card(
        personality_named("erika"), pki=pki(), today=TODAY, random=stream("card"), fault=fault_named(fault)
    )
    assert isinstance(made, FaultyCard)
    return made


def chat(rights: int = ALL_RIGHTS) -> bytes:
    """A CHAT for PACE: that of a terminal with these rights."""
    return CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, rights).encode()


def without(right: AuthenticationRight) -> int:
    """All rights but one."""
    return ALL_RIGHTS & ~right


@dataclass
class Dialogue:
    """A terminal at a card: secure messaging goes on from one exchange to the next."""

    card: Card | FaultyCard
    session: SecureSession | None = None
    random: Random = field(default_factory=lambda: stream("terminal"))
    pace_result: PACEResult | None = None
    ephemeral: KeyPair | None = None

    def run(self, exchange: Exchange[T]) -> T:
        """Run this inside secure messaging, if that is on."""
        return run(exchange, self.transmit)

    def transmit(self, apdu: bytes) -> bytes:
        """One plain command to one plain answer; secure messaging goes on after a refusal, too."""
        if self.session is None:
            return self.card.transmit(apdu)
        command = Command.decode(apdu)
        self.session, protected = protect_command(self.session, command)
        answer = Response.decode(self.card.transmit(protected.encode()))
        self.session, response = unprotect_response(self.session, answer, odd=bool(command.ins & 1))
        return response.encode()

    def send(self, command: Command) -> Response:
        """One command."""

        def once() -> Exchange[Response]:
            return (yield command)

        return self.run(once())

    def sw(self, command: Command) -> int:
        """The status word of one command."""
        return self.send(command).sw

    def plain(self, apdu: str) -> str:
        """An APDU in hex as it is, and the answer in hex."""
        return self.card.transmit(bytes.fromhex(apdu)).hex().upper()

    def pace(
        self, which: PasswordId = PasswordId.PIN, password: bytes | None = None, *, rights: int | None = ALL_RIGHTS
    ) -> PACEResult:
        """PACE, with a CHAT of these rights or without one; afterwards, secure messaging is on."""
        offer = self.run(read_offer())
        result = self.run(
            pace_from_offer(
                offer,
                PASSWORDS[which] if password is None else password,
                password_id=which,
                mapping_key=self._scalar(),
                agreement_key=self._scalar(),
                chat=b"" if rights is None else chat(rights),
            )
        )
        self.session = SecureSession(result.keys)
        self.pace_result = result
        return result

    def authenticate_terminal(
        self, terminal: str = "all", *, auxiliary: AuxiliaryData | None = None, pki: PKI | None = None
    ) -> None:
        """Terminal Authentication, with fresh ephemeral keys."""
        country = pki or _pki()
        assert self.pace_result is not None
        self.ephemeral = key_pair(self._scalar(), generator=CURVE.generator)
        chain = find_chain(country.certificates(terminal), references=self.pace_result.references)
        key = country.terminal(terminal)
        self.run(
            authenticate_terminal(
                chain,
                sign=ecdsa_signer(key.private, curve=CURVE, protocol=key.certificate.says.key.protocol),
                id_picc=self.pace_result.id_picc,
                ephemeral=self.ephemeral.public,
                auxiliary=auxiliary.encode() if auxiliary else b"",
            )
        )

    def authenticate_chip(self) -> None:
        """Passive and Chip Authentication; afterwards, secure messaging has new keys."""
        assert self.ephemeral is not None
        content = self.run(read_file(FileId.EF_CARD_SECURITY))
        infos = verify_card_security(content, trusted=[_pki().csca.certificate], now=NOW)
        self.session = SecureSession(self.run(authenticate_chip(infos, ephemeral=self.ephemeral)))

    def log_in(
        self,
        which: PasswordId = PasswordId.PIN,
        *,
        rights: int = ALL_RIGHTS,
        terminal: str = "all",
        auxiliary: AuxiliaryData | None = None,
    ) -> "Dialogue":
        """PACE, Terminal and Chip Authentication, and the eID application selected."""
        self.pace(which, rights=rights)
        self.authenticate_terminal(terminal, auxiliary=auxiliary)
        self.authenticate_chip()
        self.run(select_eid_application())
        return self

    def _scalar(self) -> int:
        return int.from_bytes(self.random(40), "big") % (CURVE.n - 1) + 1


_pki = pki
