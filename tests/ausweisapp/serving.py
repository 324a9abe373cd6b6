"""The example app over real TLS, in a process of its own, with the embedded eID server and a PKI of the tests' own."""

import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from secrets import token_bytes

from tests.ausweisapp.site import DAYS_BEHIND
from tests.servers import free_port
from tests.serving import Server
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.issuing import issue_card, with_revocations
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.card.personalisation import Personality
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls
from useid_middleware.emulation.pki import PKI, new_pki, renew
from useid_middleware.emulation.pki_files import create_pki

REQUIRED = ("RestrictedID", "GivenNames", "FamilyNames")
OPTIONAL = ("PlaceOfBirth", "AcademicTitle")
AGE = 18


@dataclass(frozen=True)
class Country:
    """A PKI as it was made, and the folder that it is in; a server adds a terminal of its own there."""

    pki: PKI
    folder: Path

    def copy(self, folder: Path) -> "Country":
        """The same for another server."""
        create_pki(folder, self.pki)
        return Country(self.pki, folder)

    @property
    def trust(self) -> bytes:
        """What an eID client must trust: the certificate of the CVCA that issues now."""
        return self.pki.authority.root.encode()

    @property
    def today(self) -> date:
        """The day on which cards are handed over."""
        return datetime.now(UTC).date()

    def card(self, personality: Personality) -> Card:
        """The card of this personality, as it is handed over."""
        made = issue_card(personality, pki=self.pki, today=self.today, random=token_bytes)
        assert isinstance(made, Card)
        return made


def found_country(folder: Path, *, generations: int) -> Country:
    """A new country in a new folder, whose CVCA has seen so many generations.

    They are named by their numbers. All certificates are older than those of terminals become. The card of the
    personality ``revoked`` is.
    """
    then = datetime.now(UTC) - timedelta(days=DAYS_BEHIND)
    pki = new_pki(now=then, random=token_bytes)
    for _ in range(1, generations):
        pki = renew(pki, now=then, random=token_bytes, new_cvca=True)
    pki = with_revocations(pki, personality_named("revoked"))
    create_pki(folder, pki)
    return Country(pki, folder)


class TLSServer(Server):
    """An app at ``https://localhost``.

    ``described`` is the TLS certificate that the eID server knows of, ``paos_host`` the name under which eID clients
    reach it; both are the right ones unless a test wants others. ``arguments`` are further ones for uvicorn.
    """

    def __init__(
        self,
        folder: Path,
        *,
        country: Path,
        described: Path | None = None,
        paos_host: str = "localhost",
        app: str = "make_app",
        arguments: Sequence[str] = (),
    ) -> None:
        port = free_port()
        self.origin = f"https://localhost:{port}"
        self.certificate, key = prepare_demo_tls(folder / "tls")
        settings = {
            "USEID_ORIGIN": self.origin,
            # The tests are one address, and quicker than people.
            "USEID_LIMITS__PER_IP": "100000",
            # Whoever waits for news that does not come gives up before this.
            "USEID_SSE__HEARTBEAT": "100",
            "USEID_EID__SERVER": "embedded",
            "USEID_EID__PKI": str(country),
            "USEID_EID__PAOS_ADDRESS": f"https://{paos_host}:{port}/auth/eid/paos",
            "USEID_EID__SERVER_TLS_CERTIFICATE": str(described or self.certificate),
            "USEID_EID__REQUIRED": json.dumps(REQUIRED),
            "USEID_EID__OPTIONAL": json.dumps(OPTIONAL),
            "USEID_EID__KEEP": json.dumps(("GivenNames", *OPTIONAL)),
            "USEID_EID__AGE": str(AGE),
        }
        super().__init__(f"tests.ausweisapp.site:{app}", port=port, folder=folder, env=settings, factory=True)
        self.url = self.origin
        self._command += ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(key), *arguments]

    @property
    def trust(self) -> ssl.SSLContext:
        """For clients that verify this server."""
        return ssl.create_default_context(cafile=self.certificate)

    def stored(self) -> bytes:
        """Whatever the server has written to its database."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("useid.db*")))
