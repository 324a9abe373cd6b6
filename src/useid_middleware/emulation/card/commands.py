"""``useid card``: the emulated ID card in a virtual PC/SC reader, and what is on it."""

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Final

from ...errors import ConfigurationError
from ..pki import PKI, new_pki
from ..pki_files import read_pki, write_pki
from .chip import Card
from .faults import FAULTS, FaultyCard, fault_named
from .issuing import issue_card, with_revocations
from .library import DEFAULT, names, personality_of
from .showing import describe_personality, describe_state
from .state import CardState
from .state_file import read_state, write_state
from .trace import describe_transmission
from .transmission import Transmission
from .vpcd import Reader

_LAST_PORT: Final = 65535


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``card`` and ``card show``; each sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 ended; 1 refused (an unknown personality, a state file at fault); 2 wrong usage.
    """
    text = "be a German ID card in a virtual PC/SC reader, for development"
    card = subparsers.add_parser("card", help=text, description=text)
    where = card.add_mutually_exclusive_group(required=False)
    where.add_argument("--vpcd", metavar="HOST:PORT", help="where vsmartcard's vpcd listens, such as 127.0.0.1:35963")
    where.add_argument("--list", action="store_true", dest="is_list", help="list personalities and faults, and end")
    card.add_argument(
        "--personality", metavar="NAME|FILE", default=DEFAULT, help="whose card it is (default: %(default)s)"
    )
    card.add_argument("--pki", metavar="DIR", type=Path, help="the test PKI that issues it (useid pki init DIR)")
    card.add_argument("--state", metavar="FILE", type=Path, help="where tries, PIN and date outlive this program")
    card.add_argument("--fault", metavar="NAME", help="misbehave in this way")
    card.add_argument("--trace", action="store_true", help="print each command and its answer")
    card.add_argument(
        "--trace-secrets", action="store_true", help="print them with new passwords and session keys as well"
    )
    card.set_defaults(func=lambda options: _card(options, card))
    commands = card.add_subparsers(dest="card_command", metavar="COMMAND")
    help_text = "show what is on a card"
    show = commands.add_parser("show", help=help_text, description=help_text)
    show.add_argument(
        "shown", metavar="NAME|FILE", nargs="?", default=DEFAULT, help="the personality (default: %(default)s)"
    )
    show.add_argument("--state", metavar="FILE", type=Path, help="show what has become of it, too")
    show.set_defaults(func=_show)


def _show(options: Namespace) -> int:
    print("\n".join(describe_personality(personality_of(options.shown))))
    state = read_state(options.state) if options.state else None
    if state is not None:
        print("\n".join(describe_state(state)))
    return 0


def _card(options: Namespace, parser: ArgumentParser) -> int:
    if options.is_list:
        print("personalities:", *(f"  {name:<24}{personality_of(name).title}" for name in names()), sep="\n")
        print("faults:", *(f"  {name:<24}{fault.about}" for name, fault in FAULTS.items()), sep="\n")
        return 0
    if options.vpcd is None:
        parser.error("expected --vpcd HOST:PORT, --list, or the command show")
    host, port = _address(options.vpcd)
    card = _issued(options)
    keeper = _StateKeeper(card, options.state)
    _say(f"{personality_of(options.personality).title}; end with Ctrl-C")

    def on_transmission(transmission: Transmission) -> None:
        keeper.keep()
        if options.trace or options.trace_secrets:
            _say(describe_transmission(transmission, with_secrets=options.trace_secrets))

    Reader(card, host=host, port=port, on_transmission=on_transmission, on_news=_say).run()
    return 0


def _issued(options: Namespace) -> Card | FaultyCard:
    """The card that the options ask for. A revoked one goes on the revocation list of its PKI."""
    personality = personality_of(options.personality)
    fault = fault_named(options.fault) if options.fault else None
    state = read_state(options.state) if options.state else None
    pki = _pki(options.pki)
    listed = with_revocations(pki, personality, state=state)
    if options.pki and listed is not pki:
        write_pki(options.pki, listed)
    today = datetime.now(UTC).date()
    return issue_card(personality, pki=pki, today=today, random=token_bytes, state=state, fault=fault)


def _pki(folder: Path | None) -> PKI:
    if folder is not None:
        return read_pki(folder)
    _say("no --pki: the card trusts a PKI made for this run alone, so that no eID server can read it", error=True)
    return new_pki(now=datetime.now(UTC), random=token_bytes)


class _StateKeeper:
    """Writes the card's state whenever it has changed."""

    def __init__(self, card: Card | FaultyCard, path: Path | None) -> None:
        self._card = card
        self._path = path
        self._kept: CardState | None = None

    def keep(self) -> None:
        """Write the state, if it is another one than last time and there is a file for it."""
        state = self._card.state
        if self._path is not None and state != self._kept:
            write_state(self._path, state)
            self._kept = state


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _LAST_PORT:
        raise ConfigurationError("--vpcd: expected HOST:PORT, such as 127.0.0.1:35963")
    return host.strip("[]"), int(port)


def _say(line: str, *, error: bool = False) -> None:
    # Whoever pipes a trace into a file or a program wants it as it happens.
    print(line, file=sys.stderr if error else sys.stdout, flush=True)
