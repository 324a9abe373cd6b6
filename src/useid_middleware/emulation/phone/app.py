"""The command-line phone: what a person does with it, step by step, against a key file, a terminal and a server."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

import httpx2

from ...errors import RequestError
from ...qr.core.enrolment import check_label
from ...qr.core.link import LinkType, parse_link
from ...qr.core.signing import Decision
from .core import choose_enrolment, describe, large_digits, require_type, shown
from .driver import decide, enrol, scan
from .keys import KeyFile

T = TypeVar("T")


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
        """Show a login and approve it if the user says so; a no is sent as a signed rejection."""
        if not yes:
            # Before the scan: scanning binds the login to this phone, which is of no use when nobody can answer.
            self.terminal.require_person("--yes")
        decision = self._decide(
            text, username, lambda: Decision.APPROVE if yes or self.terminal.confirm("Approve?") else Decision.REJECT
        )
        if decision is Decision.REJECT:
            raise RequestError("rejected", "you did not approve; the login was rejected")

    def reject(self, text: str, *, username: str | None) -> None:
        """Show a login and reject it."""
        self._decide(text, username, lambda: Decision.REJECT)

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

    def _decide(self, text: str, username: str | None, choose: Callable[[], Decision]) -> Decision:
        link = parse_link(text, scheme=self.scheme, universal_link=self.universal_link)
        trusted = choose_enrolment(link, self.keys.read(), username=username)
        request = self._call(lambda client: scan(client, trusted))
        self.terminal.say(f"A login asks for your approval:\n\n{describe(request)}\n")
        decision = choose()
        issued_at = int(self.clock())
        decided = self._call(lambda client: decide(client, request, decision, issued_at=issued_at))
        if decision is Decision.REJECT:
            self.terminal.say("Rejected.")
        elif decided.code:
            self.terminal.say(f"Approved. Type this code on the desktop:\n\n{large_digits(decided.code)}\n")
        else:
            self.terminal.say("Approved.")
        return decision

    def _call(self, step: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, T]]) -> T:
        """Run one step. Each has a loop and a client of its own, because a person thinks between two of them."""

        async def call() -> T:
            async with self.new_client() as client:
                return await step(client)

        return asyncio.run(call())
