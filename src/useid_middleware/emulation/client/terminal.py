"""A person in front of a terminal, who said beforehand what to do, or is asked (``useid eid-client``)."""

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from ...eac.keys import PasswordId
from ..phone.core import shown
from .actions import Authentication, CreateCredential, PasswordRequest

_NAMES: Final = {PasswordId.PIN: "PIN", PasswordId.CAN: "CAN", PasswordId.PUK: "PUK"}

#: Shows a question and returns what was typed; ``EOFError`` if nobody is there.
AskLine = Callable[[str], str]


@dataclass
class TerminalPerson:
    """Answers with what the command line said. A password is given once: a wrong one must not cost two tries."""

    passwords: dict[PasswordId, str] = field(repr=False)
    say: Callable[[str], None]
    ask: AskLine
    denied: frozenset[str] = frozenset()
    is_cancelling: bool = False
    agrees: bool = False
    #: What was asked, for the report.
    request: Authentication | None = None
    granted: frozenset[str] = frozenset()

    def confirm(self, request: Authentication) -> frozenset[str] | None:
        """Show who asks and for what."""
        self.request = request
        for line in describe_request(request):
            self.say(line)
        refused = self.denied & set(request.required)
        if self.is_cancelling or refused:
            self.say(f"cancelled: {', '.join(sorted(refused))} cannot be denied" if refused else "cancelled")
            return None
        self.granted = frozenset(request.optional) - self.denied
        if not self.agrees and not self._is_yes("Go on? [y/N] "):
            return None
        return self.granted

    def enter_password(self, request: PasswordRequest) -> str | None:
        """The password of the command line the first time, then what is typed."""
        name = _NAMES[request.password]
        if request.is_repeated:
            self.say(f"{name}: wrong")
        left = "" if request.tries_left is None else f", {request.tries_left} left"
        known = self.passwords.pop(request.password, "")
        if known:
            self.say(f"{name}: given{left}")
            return known
        try:
            return self.ask(f"{name} ({request.digits} digits{left}): ").strip() or None
        except EOFError:
            self.say(f"{name}: not given (--{name.lower()})")
            return None

    def confirm_passkey(self, request: CreateCredential) -> bool:
        """Show for which site and account. Who may read the file that it is kept in counts as the owner."""
        self.say("the other device will ask this one for a passkey, so that it is certain that both are with you")
        self.say(f"  passkey of {shown(request.rp_id)}, account {shown(request.account)}")
        return self.agrees or self._is_yes("Make it? [y/N] ")

    def _is_yes(self, question: str) -> bool:
        try:
            return self.ask(question).strip().lower() in ("y", "yes")
        except EOFError:
            self.say("not confirmed (--yes confirms)")
            return False


def describe_request(request: Authentication) -> Iterator[str]:
    """The certificate's facts and the requested rights, line by line."""
    yield f"{shown(request.subject_name)}  {shown(request.subject_url)}"
    yield f"  certificate by {shown(request.issuer_name)}  {shown(request.issuer_url)}".rstrip()
    yield f"  valid from {request.valid_from} to {request.valid_to}"
    yield from (f"  | {shown(line)}" for line in request.terms_of_usage.splitlines())
    yield f"required: {_listed(request.required)}"
    yield f"optional: {_listed(request.optional)}"
    if request.age is not None:
        yield f"  asks whether you are at least {request.age} (born on {request.born_by} or before)"
    if request.community_id:
        yield f"  asks whether you live in the community {request.community_id}"
    if request.transaction_info:
        yield f"  transaction: {shown(request.transaction_info)}"


def ask_on_terminal(question: str) -> str:
    """Ask on standard error, so that standard output has the result alone."""
    if not sys.stdin.isatty():
        raise EOFError
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _listed(names: Collection[str]) -> str:
    return ", ".join(name.lower() for name in names) or "nothing"
