"""The command-line phone: what a person does with it, step by step, against a key file, a terminal and a server."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TextIO, TypeVar

import httpx2

from ..._codec import DecodeError, JsonType, encode_json, timestamp
from ...errors import RequestError, UnavailableError, UseIDError
from ...qr.core.enrolment import check_label
from ...qr.core.link import LinkType, parse_link
from ...qr.core.signing import Decision
from ...webauthn.core.options import Attachment
from .authenticator import Gesture, MalformedOptions
from .authenticator_client import Page, find_credential, get_credential
from .binding import SealedEnd, make_passkey
from .core import Decided, LoginRequest, choose_enrolment, describe, large_digits, require_type, shown
from .driver import decide, enrol, open_account, register, scan
from .keys import KeyFile

T = TypeVar("T")

#: Bytes of request options; far more than any server asks with.
MAX_OPTIONS: Final = 1 << 16
_OPTIONS: Final = JsonType(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where the phone reads and writes."""

    input: TextIO
    output: TextIO

    def say(self, text: str = "") -> None:
        """One piece of text."""
        print(text, file=self.output, flush=True)

    def require_person(self, instead: str) -> None:
        """Raise ``confirmation_needed`` when nobody is there to ask; ``instead`` is the option that means yes."""
        if not self.input.isatty():
            raise RequestError(
                "confirmation_needed",
                f"standard input is not a terminal, so nobody can confirm; use {instead} to do without",
            )

    def confirm(self, question: str) -> bool:
        """Ask; yes must be said, anything else is no. ``not_decided`` at end of input."""
        print(f"{question} [y/N] ", end="", file=self.output, flush=True)
        answer = self.input.readline()
        if not answer:
            raise RequestError("not_decided", "no answer was given; nothing was decided")
        return answer.strip().lower() in ("y", "yes")


@dataclass(frozen=True, slots=True)
class Phone:
    """The app. Every method raises an error of the package's tree when its step was refused or failed.

    ``clock`` is in Unix seconds, ``new_seed`` draws 32 random bytes.
    """

    keys: KeyFile
    terminal: Terminal
    new_client: Callable[[], httpx2.AsyncClient]
    clock: Callable[[], float]
    new_seed: Callable[[], bytes]
    scheme: str
    universal_link: str | None = None

    def enrol(self, text: str, *, label: str, trust: bool) -> None:
        """Make a key for the server of an enrolment link, if the user trusts it, and show the code for the desktop."""
        link = require_type(parse_link(text, scheme=self.scheme, universal_link=self.universal_link), LinkType.ENROL)
        label = check_label(label)
        self.keys.read()  # A key file that cannot be used is better found before the server has enrolled a key.
        self.terminal.say(f"This link enrols the phone at:\n\n  {shown(link.server)}\n")
        if not trust:
            self.terminal.require_person("--trust")
            if not self.terminal.confirm("Is this the server of your account, and do you trust it?"):
                raise RequestError("server_untrusted", "you do not trust this server; nothing was sent to it")

        seed, issued_at = self.new_seed(), int(self.clock())
        key, code = self._call(lambda client: enrol(client, link, seed=seed, label=label, issued_at=issued_at))
        self.keys.add(key)
        self.terminal.say(
            f"Key made for {shown(key.username)} at {shown(key.app_name)}. Type this code on the desktop:\n"
        )
        self.terminal.say(f"{large_digits(code)}\n")

    def approve(self, text: str, *, username: str | None, yes: bool) -> None:
        """Show a login and approve it if the user says so; a no is sent as a signed rejection.

        A bound login also gets its passkey, which the other device then asks for; who makes none rejects after all.
        """
        if not yes:
            # Before the scan: scanning binds the login to this phone, which is of no use when nobody can answer.
            self.terminal.require_person("--yes")
        request = self._scan(text, username)
        end = None
        is_approved = yes or self.terminal.confirm("Approve?")
        if is_approved:
            end = self._decide(request, Decision.APPROVE).end
        if not is_approved or (end is not None and not self._bind(end, yes=yes)):
            self._decide(request, Decision.REJECT)
            raise RequestError("rejected", "you did not approve; the login was rejected")

    def reject(self, text: str, *, username: str | None) -> None:
        """Show a login and reject it."""
        self._decide(self._scan(text, username), Decision.REJECT)

    def show_keys(self) -> None:
        """Show the enrolled keys; no key id and no private key among it."""
        keys = self.keys.read()
        for key in keys:
            self.terminal.say(f"{shown(key.server)}  {shown(key.username)}  {shown(key.app_name)}  {shown(key.label)}")
        if not keys:
            self.terminal.say("No key is enrolled on this phone.")

    def forget(self, server: str, *, username: str | None) -> None:
        """Delete the keys of a server from this phone."""
        removed = self.keys.remove(server, username=username)
        if not removed:
            raise RequestError("account_unknown", "no such key is enrolled on this phone; see useid phone list")
        for key in removed:
            self.terminal.say(
                f"Forgot the key of {shown(key.username)} at {shown(key.server)}. Revoke the phone there as well."
            )

    def show_passkeys(self) -> None:
        """Show the passkeys: the id, by which one is forgotten (no hex looks like an option), and what it is for."""
        credentials = self.keys.credentials()
        for source in credentials:
            made = timestamp(source.created_at)
            self.terminal.say(f"{source.id.hex()}  {shown(source.rp_id)}  {shown(source.user_name)}  {made}")
        if not credentials:
            self.terminal.say("No passkey is on this phone.")

    def forget_passkey(self, credential_id: str) -> None:
        """Delete a passkey from this phone; ``credential_id`` is spelt as in the list."""
        try:
            is_gone = self.keys.remove_credential(bytes.fromhex(credential_id))
        except ValueError:
            is_gone = False
        if not is_gone:
            raise RequestError("passkey_unknown", "no such passkey is on this phone; see useid phone passkeys")
        self.terminal.say("Forgot the passkey.")

    def sign(self, options: bytes, *, origin: str, username: str | None, yes: bool) -> bytes:
        """Sign in on another device, whose page of ``origin`` asks with these request options: the answer for it.

        Both are JSON: ``PublicKeyCredentialRequestOptionsJSON`` and ``AuthenticationResponseJSON``.
        """
        if not yes:
            self.terminal.require_person("--yes")
        asked = _read_options(options)
        page = Page(origin)
        source = find_credential(asked, page=page, sources=self.keys.credentials(), user_name=username)
        account = f"{shown(source.user_name)} at {shown(source.rp_id)}"
        self.terminal.say("A device nearby asks for your passkey:\n")
        self.terminal.say(f"  Website  {shown(origin)}\n  Account  {account}\n")
        # Who holds the key file counts as the owner, as nobody else can read it.
        gesture = Gesture.VERIFICATION if yes or self.terminal.confirm("Use the passkey?") else Gesture.NONE
        credential = self.keys.change_credentials(
            lambda sources: get_credential(
                asked,
                page=page,
                sources=sources,
                gesture=gesture,
                user_name=source.user_name,
                attachment=Attachment.CROSS_PLATFORM,
            )
        )
        return encode_json(credential)

    def _bind(self, end: SealedEnd, *, yes: bool) -> bool:
        """Make the passkey of a login that was approved, unless the user does not want one."""
        account = self._call(lambda client: open_account(client, end))
        if not (yes or self.terminal.confirm(f"Make a passkey for this login at {shown(account.rp_id)}?")):
            return False
        secret, now = self.new_seed(), self.clock()
        made = self.keys.change_credentials(
            lambda sources: make_passkey(account, sources=sources, gesture=Gesture.VERIFICATION, secret=secret, now=now)
        )
        try:
            self._call(lambda client: register(client, made))
        except UseIDError as error:
            # A server that refuses has no use for it; of one that does not answer, nobody knows.
            if not isinstance(error, UnavailableError):
                self.keys.remove_credential(made.credential_id)
            raise
        self.terminal.say("The other device asks for the passkey now. Where it cannot reach a phone: useid phone sign")
        return True

    def _scan(self, text: str, username: str | None) -> LoginRequest:
        """Scan and show what is asked."""
        link = parse_link(text, scheme=self.scheme, universal_link=self.universal_link)
        trusted = choose_enrolment(link, self.keys.read(), username=username)
        request = self._call(lambda client: scan(client, trusted))
        self.terminal.say(f"A login asks for your approval:\n\n{describe(request)}\n")
        return request

    def _decide(self, request: LoginRequest, decision: Decision) -> Decided:
        """Send the decision and say so."""
        issued_at = int(self.clock())
        decided = self._call(lambda client: decide(client, request, decision, issued_at=issued_at))
        if decision is Decision.REJECT:
            self.terminal.say("Rejected.")
        elif decided.code:
            self.terminal.say(f"Approved. Type this code on the desktop:\n\n{large_digits(decided.code)}\n")
        else:
            self.terminal.say("Approved.")
        return decided

    def _call(self, step: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, T]]) -> T:
        """Run one step. Each has a loop and a client of its own, because a person thinks between two of them."""

        async def call() -> T:
            async with self.new_client() as client:
                return await step(client)

        return asyncio.run(call())


def _read_options(options: bytes) -> dict[str, Any]:
    if len(options) > MAX_OPTIONS:
        raise MalformedOptions("authenticator_options_malformed", f"options: expected at most {MAX_OPTIONS} bytes")
    try:
        return _OPTIONS.decode(options)
    except DecodeError as error:
        raise MalformedOptions("authenticator_options_malformed", f"options: {error}") from None
