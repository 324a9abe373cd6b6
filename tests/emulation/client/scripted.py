"""An eID client without a website: asks its person, and runs PACE with the card until a password is right.

For the tests of the phone around it. What a client does with a website is tested in ``test_flow`` and with a server.
"""

from dataclasses import dataclass, field
from datetime import date

from tests.emulation.card.world import NOW, TODAY, pki, stream
from tests.emulation.card.world import Dialogue as Terminal
from useid_middleware.eac.apdu import retries_left
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.terminal import read_card_access
from useid_middleware.eid.core.results import MAJOR_ERROR
from useid_middleware.emulation.client.actions import Authentication, CreateCredential, PasswordRequest
from useid_middleware.emulation.client.app import EIDPhone
from useid_middleware.emulation.client.dialogue import Dialogue
from useid_middleware.emulation.client.failure import Failure, cancelled
from useid_middleware.emulation.client.flow import Outcome

REFRESH = "http://127.0.0.1:8000/auth/eid/refresh/1"
TC_TOKEN_URL = "http%3A%2F%2F127.0.0.1%3A8000%2Fauth%2Feid%2Ftctoken%2F1"
LINK = f"eid://127.0.0.1:24727/eID-Client?tcTokenURL={TC_TOKEN_URL}"

REQUEST = Authentication(
    subject_name="TEST Harbour",
    subject_url="https://localhost:8443",
    issuer_name="TEST DV",
    issuer_url="https://dv.example",
    valid_from=date(2026, 2, 28),
    valid_to=date(2026, 3, 30),
    terms_of_usage="For development and test.\nTrust nothing of this.",
    required=("RESTRICTED_IDENTIFICATION", "READ_DG4", "READ_DG5", "AGE_VERIFICATION"),
    optional=("READ_DG6", "READ_DG17"),
    born_by=date(2008, 3, 1),
    age=18,
    transaction_info="Login at Harbour",
)


PASSKEY = CreateCredential({}, origin="https://widget.example", rp_id="widget.example", account="Harbour")


@dataclass
class ScriptedClient:
    """Remembers what it was asked to do and what was granted.

    ``is_sealed`` plays the integrated mode; with a ``passkey`` to ask for, a bound login.
    """

    request: Authentication = REQUEST
    refresh: str = REFRESH
    is_sealed: bool = False
    passkey: CreateCredential | None = None
    links: list[str] = field(default_factory=list)
    granted: list[frozenset[str]] = field(default_factory=list)

    def __call__(self, link: str, dialogue: Dialogue) -> Outcome:
        self.links.append(link)
        terminal = Terminal(dialogue)  # type: ignore[arg-type]  # it transmits, and that is all a terminal needs
        try:
            granted = dialogue.confirm(self.request)
            if granted is None:
                raise cancelled()
            self.granted.append(granted)
            self._enter_pin(terminal, dialogue)
        except Failure as failure:
            address = f"{self.refresh}?ResultMajor=error"
            return Outcome(address, MAJOR_ERROR, failure.minor, failure.message, failure.code)
        terminal.run(read_card_access())
        if self.passkey is not None:
            if not dialogue.confirm_passkey(self.passkey):
                ended = cancelled()
                return Outcome("", MAJOR_ERROR, ended.minor, ended.message, ended.code)
            return Outcome("", is_sealed=True, is_bound=True)
        return Outcome(self.refresh, is_sealed=self.is_sealed)

    def _enter_pin(self, terminal: Terminal, dialogue: Dialogue) -> None:
        tries: int | None = None
        while True:
            if tries == 1:
                self._enter_can(terminal, dialogue)
            pin = _typed(dialogue, PasswordRequest(PasswordId.PIN, 6, tries, tries is not None))
            try:
                terminal.pace(PasswordId.PIN, pin)
                return
            except StatusWordError as error:
                terminal.session = None
                tries = retries_left(error.status_word)
                if not tries:
                    raise

    def _enter_can(self, terminal: Terminal, dialogue: Dialogue) -> None:
        is_repeated = False
        while True:
            can = _typed(dialogue, PasswordRequest(PasswordId.CAN, 6, None, is_repeated))
            try:
                terminal.pace(PasswordId.CAN, can, rights=None)
                return
            except StatusWordError:
                terminal.session = None
                is_repeated = True


def _typed(dialogue: Dialogue, request: PasswordRequest) -> bytes:
    password = dialogue.enter_password(request)
    if password is None:
        raise cancelled()
    return password.encode()


def phone(client: ScriptedClient | None = None, *, app_url: str = "", patience: float = 20.0) -> EIDPhone:
    """A phone with this client."""
    return EIDPhone(
        pki(),
        client=client or ScriptedClient(),
        app_url=app_url,
        random=stream("phone"),
        today=lambda: TODAY,
        clock=NOW.timestamp,
        patience=patience,
    )
