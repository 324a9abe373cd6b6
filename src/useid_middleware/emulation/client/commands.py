"""``useid eid-client``: the emulated eID client on the command line, with an emulated card."""

import sys
import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from secrets import token_bytes
from typing import Final

from ..._codec import encode_json
from ...eac.chat import AuthenticationRight
from ...eac.keys import PasswordId
from ...errors import ConfigurationError
from ..card.chip import Card
from ..card.faults import FaultyCard, fault_named
from ..card.issuing import issue_card
from ..card.library import DEFAULT, personality_of
from ..card.state_file import read_state, write_state
from ..phone.core import shown
from ..phone.keys import KeyFile
from ..pki import PKI
from ..pki_files import read_pki
from .driver import Network, run_flow
from .flow import Outcome, open_link
from .passkeys import Passkeys
from .session import Circumstances
from .terminal import TerminalPerson, ask_on_terminal

#: Where passkeys are, below the PKI's folder.
_HOME: Final = "phone"
_NOTICE: Final = "emulated eID client and card, for development and test: proves nothing about anybody"


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``eid-client``; it sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 the browser goes on after a success; 1 it failed, was refused or cancelled; 2 wrong usage.
    """
    text = "log in with an emulated ID card, as an eID client does (for development)"
    command = subparsers.add_parser("eid-client", help=text, description=text)
    command.add_argument("link", metavar="TCTOKEN_URL_OR_LINK", help="a tcTokenURL, or a link that starts a client")
    command.add_argument("--pin", metavar="DIGITS", default="", help="the PIN; it is asked for if it is not given")
    command.add_argument("--can", metavar="DIGITS", default="", help="the CAN, where it is needed")
    command.add_argument("--card", metavar="NAME|FILE", default=DEFAULT, help="whose card it is (default: %(default)s)")
    command.add_argument(
        "--pki",
        metavar="DIR",
        type=Path,
        default=Path("useid-pki"),
        help="the test PKI that issues the card and that the client trusts (default: %(default)s)",
    )
    command.add_argument("--state", metavar="FILE", type=Path, help="where tries and PIN outlive this program")
    command.add_argument(
        "--home",
        metavar="DIR",
        type=Path,
        help="where passkeys of bound logins are kept, as useid phone keeps them (default: phone in the PKI's folder)",
    )
    command.add_argument("--fault", metavar="NAME", help="the card misbehaves in this way (useid card --list)")
    command.add_argument(
        "--deny", metavar="RIGHT", action="append", default=[], help="take an optional right away, such as read_dg7"
    )
    command.add_argument("--cancel", action="store_true", help="look at the request, and cancel")
    command.add_argument("--yes", action="store_true", help="agree without being asked")
    command.add_argument("--json", action="store_true", dest="as_json", help="print the result as JSON")
    command.set_defaults(func=_run)


def _run(options: Namespace) -> int:
    _say(_NOTICE)
    pki, today = read_pki(options.pki), datetime.now(UTC).date()
    card = _card(options, pki, today=today)
    person = TerminalPerson(
        passwords={PasswordId.PIN: options.pin, PasswordId.CAN: options.can},
        say=_say,
        ask=ask_on_terminal,
        denied=_rights(options.deny),
        is_cancelling=options.cancel,
        agrees=options.yes,
    )
    circumstances = Circumstances(
        trusted=pki.trust_points,
        today=today,
        random=token_bytes,
        user_agent=f"useid-eid-client/{version('useid-middleware')}",
        allow_loopback_http=True,
    )
    keys = KeyFile(options.home or options.pki / _HOME)
    passkeys = Passkeys(keys, random=token_bytes, clock=time.time)
    try:
        with Network() as network:
            flow = open_link(options.link, circumstances)
            outcome = run_flow(flow, network=network, card=_Reader(card), person=person, authenticator=passkeys)
    finally:
        if options.state is not None:
            write_state(options.state, card.state)
    _report(outcome, person, keys, as_json=options.as_json)
    return 0 if outcome.is_ok else 1


class _Reader:
    """Holds the card, which answers as quickly as it can."""

    def __init__(self, card: Card | FaultyCard) -> None:
        self._card = card

    def transmit(self, apdu: bytes) -> bytes:
        time.sleep(self._card.delay)
        return self._card.transmit(apdu)


def _card(options: Namespace, pki: PKI, *, today: date) -> Card | FaultyCard:
    return issue_card(
        personality_of(options.card),
        pki=pki,
        today=today,
        random=token_bytes,
        state=read_state(options.state) if options.state else None,
        fault=fault_named(options.fault) if options.fault else None,
    )


def _rights(names: list[str]) -> frozenset[str]:
    known = [right.name or "" for right in AuthenticationRight]
    wanted = frozenset(name.upper() for name in names)
    if not wanted <= set(known):
        raise ConfigurationError(f"--deny: expected rights among {', '.join(known).lower()}")
    return wanted


def _report(outcome: Outcome, person: TerminalPerson, keys: KeyFile, *, as_json: bool) -> None:
    if as_json:
        request = person.request
        facts = {
            "address": outcome.address,
            "isSealed": outcome.is_sealed,
            "isBound": outcome.is_bound,
            "resultMajor": outcome.major,
            "resultMinor": outcome.minor,
            "message": outcome.message,
            "code": outcome.code,
            "subjectName": request.subject_name if request else "",
            "required": request.required if request else (),
            "optional": request.optional if request else (),
            "granted": sorted(person.granted) if outcome.is_ok else (),
        }
        print(encode_json(facts).decode())
        return
    if not outcome.is_ok:
        _say(f"{outcome.code}: {shown(outcome.message)} ({shown(outcome.minor)})")
    if outcome.is_bound:
        _say(f"made a passkey, kept in {keys.path}; the browser that shows the code asks for it now")
        _say(f"where it cannot reach a phone: useid phone sign --home {keys.home} --origin ORIGIN")
    elif outcome.is_sealed:
        _say("done; the browser that shows the code goes on")
    elif outcome.address:
        _say("the browser goes on at")
        print(outcome.address)


def _say(line: str) -> None:
    # Standard output is for the address alone.
    print(line, file=sys.stderr, flush=True)
