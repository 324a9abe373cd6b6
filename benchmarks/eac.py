"""What PACE's elliptic curve part costs one side, beside libcrypto; and a whole reading of a card, step by step."""

import gc
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from secrets import token_bytes
from statistics import median
from time import process_time_ns

from useid_middleware.eac.apdu import Command, Response
from useid_middleware.eac.card_security import verify_card_security
from useid_middleware.eac.certificate_chain import find_chain
from useid_middleware.eac.chat import CHAT, Role, TerminalType
from useid_middleware.eac.chip_authentication import authenticate_chip
from useid_middleware.eac.curves import BRAINPOOL_P256R1, key_pair, scalar
from useid_middleware.eac.cvc import ecdsa_signer
from useid_middleware.eac.exchange import run
from useid_middleware.eac.file_identifiers import FileId, data_group_fid
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.pace import map_generator
from useid_middleware.eac.secure_messaging import SecureSession, protect_command, unprotect_response
from useid_middleware.eac.terminal import pace_from_offer, read_file, read_offer, select_eid_application
from useid_middleware.eac.terminal_authentication import authenticate_terminal
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.faults import FaultyCard
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.pki import PKI, new_pki
from useid_middleware.emulation.pki_certificates import ALL_RIGHTS

from .peers.libcrypto import Group
from .rows import Row, row


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds, and sides of PACE in a round."""

    rounds: int
    sides: int


FULL = Size(rounds=15, sides=20)
QUICK = Size(rounds=3, sides=3)


@dataclass(slots=True)
class Figures:
    """µs for each side, one figure a round."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)


def rows(size: Size) -> list[Row]:
    """Measure and compare: mapping key, mapped generator, agreement key, agreement."""
    curve = BRAINPOOL_P256R1
    group = Group()
    random = Random(1)  # The same numbers for both; nothing here is a secret.
    numbers = [random.randrange(2, curve.n - 1) for _ in range(4)]
    other = key_pair(numbers[3], generator=curve.generator).public
    nonce = random.randbytes(16)
    scalars = [group.number(number) for number in numbers]
    s, theirs = group.number(int.from_bytes(nonce, "big")), group.multiply(scalars[3], group.generator)
    figures = Figures()

    def ours() -> None:
        mapping = key_pair(numbers[0], generator=curve.generator)
        generator = map_generator(nonce, own=mapping, other=other)
        own = key_pair(numbers[1], generator=generator)
        own.agree(other)

    def peer() -> None:
        group.multiply(scalars[0], group.generator)
        shared = group.multiply(scalars[0], theirs)
        generator = group.add(group.multiply(s, group.generator), shared)
        group.multiply(scalars[1], generator)
        group.multiply(scalars[1], theirs)

    for number in range(size.rounds + 1):
        for work, found in ((ours, figures.ours), (peer, figures.peer)):
            gc.collect()
            started = process_time_ns()
            for _ in range(size.sides):
                work()
            if number:  # The first round warms up.
                found.append((process_time_ns() - started) / size.sides / 1000)
    return [
        row(
            "PACE, one side, elliptic curve part, CPU vs libcrypto",
            ours=median(figures.ours),
            peer=median(figures.peer),
            unit="µs",
            goal=2.5,
        )
    ]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of reading a card, terminal and card together in one process: median milliseconds of CPU."""

    name: str
    milliseconds: float


def steps(size: Size) -> list[Step]:
    """A whole reading of the emulated card, step by step: PACE, Terminal and Chip Authentication, DG1 to DG9."""
    now = datetime.now(UTC)
    pki = new_pki(now=now, random=token_bytes)
    found: dict[str, list[float]] = {}
    for _ in range(size.rounds):
        card = issue_card(personality_named("erika"), pki=pki, today=now.date(), random=token_bytes)
        read = _Reading(card, pki, now)
        for name, step in (
            ("PACE", read.pace),
            ("Terminal Authentication", read.authenticate_terminal),
            ("Chip Authentication", read.authenticate_chip),
            ("DG1 to DG9", read.read_groups),
        ):
            started = process_time_ns()
            step()
            found.setdefault(name, []).append((process_time_ns() - started) / 1e6)
    medians = [Step(name, median(spent)) for name, spent in found.items()]
    return [*medians, Step("whole reading", sum(step.milliseconds for step in medians))]


class _Reading:
    """One terminal at one card."""

    def __init__(self, card: Card | FaultyCard, pki: PKI, now: datetime) -> None:
        self._card = card
        self._pki = pki
        self._now = now
        self._session: SecureSession | None = None

    def pace(self) -> None:
        chat = CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, ALL_RIGHTS).encode()
        offer = run(read_offer(), self._transmit)
        self._result = run(
            pace_from_offer(
                offer,
                b"123456",
                password_id=PasswordId.PIN,
                mapping_key=self._scalar(),
                agreement_key=self._scalar(),
                chat=chat,
            ),
            self._transmit,
        )
        self._session = SecureSession(self._result.keys)

    def authenticate_terminal(self) -> None:
        self._ephemeral = key_pair(self._scalar(), generator=BRAINPOOL_P256R1.generator)
        key = self._pki.terminal("default")
        exchange = authenticate_terminal(
            find_chain(self._pki.certificates("default"), references=self._result.references),
            sign=ecdsa_signer(key.private, curve=BRAINPOOL_P256R1, protocol=key.certificate.says.key.protocol),
            id_picc=self._result.id_picc,
            ephemeral=self._ephemeral.public,
            auxiliary=b"",
        )
        run(exchange, self._transmit)

    def authenticate_chip(self) -> None:
        content = run(read_file(FileId.EF_CARD_SECURITY), self._transmit)
        infos = verify_card_security(content, trusted=[self._pki.csca.certificate], now=self._now)
        self._session = SecureSession(run(authenticate_chip(infos, ephemeral=self._ephemeral), self._transmit))

    def read_groups(self) -> None:
        run(select_eid_application(), self._transmit)
        for number in range(1, 10):
            if not run(read_file(data_group_fid(number)), self._transmit):
                raise RuntimeError(f"DG{number} is empty")

    def _transmit(self, apdu: bytes) -> bytes:
        if self._session is None:
            return self._card.transmit(apdu)
        command = Command.decode(apdu)
        self._session, protected = protect_command(self._session, command)
        answer = Response.decode(self._card.transmit(protected.encode()))
        self._session, response = unprotect_response(self._session, answer, odd=bool(command.ins & 1))
        return response.encode()

    def _scalar(self) -> int:
        return scalar(BRAINPOOL_P256R1, token_bytes(40))
