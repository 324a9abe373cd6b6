"""``useid phone …``: the emulated phone on the command line."""

import io
import sys
import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

from ...errors import ConfigurationError, UseIDError
from .core import shown

if TYPE_CHECKING:
    from .app import Phone

DEFAULT_HOME: Final = "~/.useid-phone"

Command: TypeAlias = Callable[[Namespace], int]


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``phone`` and its commands; each sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 done; 1 refused or failed, with one line ``code: message`` on standard error; 2 wrong usage.
    """
    phone = subparsers.add_parser("phone", help="play the phone of a QR login (for development)")
    commands = phone.add_subparsers(dest="phone_command", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[["Phone", Namespace], None], help_text: str) -> ArgumentParser:
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument(
            "--home", metavar="DIR", default=DEFAULT_HOME, help="where the keys are (default: %(default)s)"
        )
        command.set_defaults(func=_command(run), scheme="tana", universal_link=None)
        return command

    enrol = add("enrol", _enrol, "make a key for the account that an enrolment link offers")
    enrol.add_argument(
        "--label", default="Command-line phone", help="the phone's name in the account's list of devices"
    )
    enrol.add_argument("--trust", action="store_true", help="trust the link's server without asking")
    approve = add("approve", _approve, "show the login that a link asks for, and approve it")
    approve.add_argument("--yes", action="store_true", help="approve without asking")
    reject = add("reject", _reject, "show the login that a link asks for, and reject it")
    for command in (enrol, approve, reject):
        command.add_argument("link", metavar="LINK", help="what the QR code says")
        command.add_argument("--scheme", default="tana", help="scheme of this app's links (default: %(default)s)")
        command.add_argument("--universal-link", metavar="URL", help="https address that also starts this app's links")
    forget = add("forget", _forget, "delete the keys of a server from this phone")
    forget.add_argument("server", metavar="SERVER", help="as the list shows it")
    for command in (approve, reject, forget):
        command.add_argument("--user", metavar="NAME", help="the account, where a server has several")
    add("list", _list, "list the enrolled keys")
    sign = add("sign", _sign, "use a passkey for a page on another device: options on standard input, answer out")
    sign.add_argument("--origin", metavar="ORIGIN", required=True, help="of the page that asks")
    sign.add_argument("--user", metavar="NAME", help="the account, where a website has several")
    sign.add_argument("--yes", action="store_true", help="use it without asking")
    add("passkeys", _passkeys, "list the passkeys")
    forget_passkey = add("forget-passkey", _forget_passkey, "delete a passkey from this phone")
    forget_passkey.add_argument("passkey", metavar="ID", help="as the list of passkeys shows it")


def _command(run: Callable[["Phone", Namespace], None]) -> Command:
    def command(args: Namespace) -> int:
        try:
            run(_phone(args), args)
        except UseIDError as error:
            print(shown(str(error)), file=sys.stderr)
            return 1
        return 0

    return command


def _phone(args: Namespace) -> "Phone":
    # Imported here: httpx2 comes with the demo extra alone, and the program's other commands work without it.
    try:
        from .app import Phone, Terminal
        from .driver import new_client
    except ModuleNotFoundError as error:
        message = f"the phone needs {error.name}; install useid-middleware[demo]"
        raise ConfigurationError(message) from None
    from .keys import KeyFile

    return Phone(
        keys=KeyFile(Path(args.home).expanduser()),
        terminal=Terminal(sys.stdin, sys.stdout),
        new_client=new_client,
        clock=time.time,
        new_seed=lambda: token_bytes(32),
        scheme=args.scheme,
        universal_link=args.universal_link,
    )


def _enrol(phone: "Phone", args: Namespace) -> None:
    phone.enrol(args.link, label=args.label, trust=args.trust)


def _approve(phone: "Phone", args: Namespace) -> None:
    phone.approve(args.link, username=args.user, yes=args.yes)


def _reject(phone: "Phone", args: Namespace) -> None:
    phone.reject(args.link, username=args.user)


def _forget(phone: "Phone", args: Namespace) -> None:
    phone.forget(args.server, username=args.user)


def _list(phone: "Phone", args: Namespace) -> None:
    phone.show_keys()


def _sign(phone: "Phone", args: Namespace) -> None:
    from .app import MAX_OPTIONS

    options = sys.stdin.buffer.read(MAX_OPTIONS + 1)
    # Standard input is the page's and standard output is for it: the person is asked beside both.
    with _ask_person() as person:
        phone = replace(phone, terminal=replace(phone.terminal, input=person, output=sys.stderr))
        answer = phone.sign(options, origin=args.origin, username=args.user, yes=args.yes)
    print(answer.decode())


def _ask_person() -> TextIO:
    """What somebody at the terminal types, whatever standard input is; nothing where nobody is."""
    try:
        return open("/dev/tty", encoding="utf-8")
    except OSError:
        return io.StringIO()


def _passkeys(phone: "Phone", args: Namespace) -> None:
    phone.show_passkeys()


def _forget_passkey(phone: "Phone", args: Namespace) -> None:
    phone.forget_passkey(args.passkey)
