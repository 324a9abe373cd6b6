"""An authentication from the link to the browser's next address: a dialogue with network, card and person.

TR-03124-1 §2.3 to §2.5 says where the client goes and where the browser goes on; ``session`` has the part with the eID
server, ``binding`` the end of a login that WebAuthn binds. Nothing that a server, a card or a person does raises:
everything ends in an :class:`Outcome`. Emulation: for development and test.
"""

from dataclasses import dataclass
from typing import Final

from ..._codec import encode_json
from ...eid.core.link import Widget, parse_link
from ...eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from ...eid.core.sealing import NONCE_SIZE, seal_refresh_url
from ...eid.core.tctoken import TCToken
from ...errors import UseIDError
from .actions import Connect, Fetch, Fetched, Flow, Post, Unreachable
from .addresses import MAX_REDIRECTS, REDIRECTS, check_address, next_address, same_origin, with_failure, with_success
from .binding import bind
from .checks import check_server, check_token
from .failure import Failure, failure_of, no_channel, refused_by_server
from .session import Circumstances, Session

_OK: Final = 200
_NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. The browser goes on at ``address``; empty: nobody said where.

    ``major`` and ``minor`` are URIs of TR-03112-1 §4.2; ``code`` is for programs, empty for success. Where
    ``is_sealed``, the address went to the widget that waits, and the browser on this device stays where it is; where
    ``is_bound``, that browser asks for this device's passkey before it can open the address.
    """

    address: str
    major: str = MAJOR_OK
    minor: str = ""
    message: str = ""
    code: str = ""
    is_sealed: bool = False
    is_bound: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether the eID server has got what it asked for."""
        return self.major == MAJOR_OK


def open_link(link: str, circumstances: Circumstances) -> Flow[Outcome]:
    """What a link for an eID client asks for, or a tcTokenURL itself; ``link_malformed`` for any other link."""
    if link.startswith(("https://", "http://")) and "?tcTokenURL=" not in link:
        return (yield from authenticate(link, circumstances))
    asked = parse_link(link)
    outcome, token = yield from _attempt(asked.tc_token_url, circumstances)
    if asked.widget is None or not outcome.is_ok:
        return outcome
    try:
        return (yield from _hand_over(outcome.address, token, asked.widget, circumstances))
    except Failure as failure:
        return _failed("", failure)
    except UseIDError as error:
        return _failed("", Failure(error.code, error.message, minor=ClientMinor.COMMUNICATION_ERROR))


def authenticate(tc_token_url: str, circumstances: Circumstances) -> Flow[Outcome]:
    """Fetch the tcToken, authenticate at its eID server, and find out where the browser goes on."""
    outcome, _ = yield from _attempt(tc_token_url, circumstances)
    return outcome


def _attempt(tc_token_url: str, circumstances: Circumstances) -> Flow[tuple[Outcome, TCToken]]:
    """The same, and the tcToken; an empty one where there is none."""
    certificates: list[bytes] = []
    try:
        token = yield from _fetch_token(tc_token_url, circumstances, certificates)
    except Unreachable as error:
        return _failed("", no_channel(error.message)), TCToken()
    except Failure as failure:
        return _failed("", failure), TCToken()
    if token.is_error:
        refused = Failure("session_refused", "the eService has no session", minor=ClientMinor.COMMUNICATION_ERROR)
        return _failed(token.communication_error_address, refused), token
    session = Session(token, circumstances, tc_token_url=tc_token_url, tls_certificates=certificates)
    try:
        result = yield from session.run()
        ended = None if result.is_ok else refused_by_server(result)
    except UseIDError as error:
        ended = failure_of(error)
    try:
        address = yield from _refresh_address(token, session, circumstances, tc_token_url=tc_token_url)
    except UseIDError as error:
        # Nobody may learn of a success at an address that is not the eService's.
        lost = Failure(error.code, error.message, minor=ClientMinor.COMMUNICATION_ERROR)
        return _failed(token.communication_error_address, lost), token
    return (Outcome(with_success(address)) if ended is None else _failed(address, ended)), token


def _fetch_token(url: str, circumstances: Circumstances, certificates: list[bytes]) -> Flow[TCToken]:
    """The tcToken, over redirects; each server's certificate is noted (TR-03124-1 §2.3.1)."""
    is_plain_ok = circumstances.allow_loopback_http
    address = check_address(url, allow_loopback_http=is_plain_ok)
    for _ in range(MAX_REDIRECTS + 1):
        answer: Fetched = yield Fetch(address)
        if answer.tls_certificate is not None:
            certificates.append(answer.tls_certificate)
        if answer.status == _OK:
            return check_token(answer.body, allow_loopback_http=is_plain_ok)
        if answer.status not in REDIRECTS:
            raise no_channel(f"tcTokenURL: expected status {_OK}, found {answer.status}")
        address = check_address(next_address(answer), allow_loopback_http=is_plain_ok)
    raise no_channel(f"tcTokenURL: expected at most {MAX_REDIRECTS} redirects")


def _refresh_address(token: TCToken, session: Session, circumstances: Circumstances, *, tc_token_url: str) -> Flow[str]:
    """The refresh address, over redirects until it is at the eService's origin (TR-03124-1 §2.5.2).

    All servers on the way, and that of the origin, must be those of the certificate description, once it is known.
    """
    description = session.request.description if session.request else None
    origin = (description.subject_url if description else None) or tc_token_url
    address = token.refresh_address
    for _ in range(MAX_REDIRECTS + 1):
        if same_origin(address, origin):
            check_server(description, (yield Connect(address)))
            return address
        answer: Fetched = yield Fetch(address)
        check_server(description, answer.tls_certificate)
        address = check_address(next_address(answer), allow_loopback_http=circumstances.allow_loopback_http)
    raise Failure(
        "redirect_refused",
        f"RefreshAddress: expected at most {MAX_REDIRECTS} redirects to the eService",
        minor=ClientMinor.COMMUNICATION_ERROR,
    )


def _hand_over(address: str, token: TCToken, widget: Widget, circumstances: Circumstances) -> Flow[Outcome]:
    """The address goes sealed to the widget's backend, which cannot read it; with a passkey if the link has a key."""
    is_plain_ok = circumstances.allow_loopback_http
    if widget.public_key:
        yield from bind(address, widget, token.webauthn_server, allow_loopback_http=is_plain_ok)
        return Outcome("", is_sealed=True, is_bound=True)
    check_address(widget.server, allow_loopback_http=is_plain_ok)
    nonce = circumstances.random(NONCE_SIZE)
    sealed = seal_refresh_url(address, secret=widget.secret, session_id=widget.session_id, nonce=nonce)
    answer: Fetched = yield Post(
        f"{widget.server.rstrip('/')}/eid/session/{widget.session_id}/sealed",
        {"content-type": "application/json"},
        encode_json({"sealedRefreshUrl": sealed}),
    )
    if answer.status != _NO_CONTENT:
        raise Failure(
            "widget_refused",
            f"widget: expected status {_NO_CONTENT}, found {answer.status}",
            minor=ClientMinor.COMMUNICATION_ERROR,
        )
    return Outcome("", is_sealed=True)


def _failed(address: str, failure: Failure) -> Outcome:
    told = with_failure(address, failure) if address else ""
    return Outcome(told, MAJOR_ERROR, failure.minor, failure.message, failure.code)
