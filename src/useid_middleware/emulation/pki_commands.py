"""``useid pki``: the test PKI on the command line."""

import secrets
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..eac.certificate_description import parse_description
from ..eac.chat import TerminalType, rights_named
from ..eac.cvc import Certificate
from ..eac.errors import EACError
from ..errors import ConfigurationError
from ..settings import EIDSettings
from .card.issuing import revoke_card
from .card.library import personality_of
from .card.state_file import read_state
from .pki import DEFAULT, DEFAULT_RIGHTS, PKI, TerminalRequest, issue_terminal, new_pki, renew
from .pki_files import create_pki, read_pki, write_pki

_PRINTABLE: Final = "a name of letters, digits, - and _"


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``pki`` and what is below it; each sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 done; 1 refused (``ConfigurationError``); 2 wrong usage.
    """
    text = "make and show a test PKI for eID: CVCA, DV, terminals, CSCA, sectors"
    parser = subparsers.add_parser("pki", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Namespace], None], help_text: str, **more: object) -> ArgumentParser:
        each: ArgumentParser = below.add_parser(name, help=help_text, description=help_text)
        each.add_argument("directory", metavar="DIR", type=Path, **more)  # type: ignore[arg-type]
        each.set_defaults(func=lambda options: _run(command, options))
        return each

    _add_terminal_options(add("init", _init, "make a test PKI in a new folder, with one terminal"))
    demo = EIDSettings().pki
    about = f"show what is there, until when, and with which rights (DIR: {demo}, the demo's, unless given)"
    show = add("show", _show, about, nargs="?", default=demo)
    show.add_argument("--cvca-hex", action="store_true", help="only the CVCA certificates, in hexadecimal digits")
    renewal = add("renew", _renew, "issue DV, terminals and document signer anew; pseudonyms stay")
    renewal.add_argument("--cvca", action="store_true", help="a new generation of the CVCA as well, with its link")
    renewal.add_argument("--terminal", metavar="NAME", default=DEFAULT, help="whose --tls-certificate these are")
    _add_tls_option(renewal)
    issue = add("issue", _issue, "issue a certificate for one more terminal, or another one for one that is there")
    issue.add_argument("terminal", metavar="NAME")
    _add_terminal_options(issue)
    revocation = add("revoke", _revoke, "put a card on the revocation list")
    revocation.add_argument("personality", metavar="NAME|FILE", help="whose card (useid card --list)")
    revocation.add_argument("--state", metavar="FILE", type=Path, help="the card's state file, where it has one")


def _add_terminal_options(parser: ArgumentParser) -> None:
    defaults = TerminalRequest()
    parser.add_argument("--subject-name", default=defaults.subject_name, help="of the eService (default: %(default)s)")
    parser.add_argument(
        "--subject-url", metavar="URL", default=defaults.subject_url, help="its origin (default: %(default)s)"
    )
    parser.add_argument(
        "--right",
        action="append",
        default=[],
        metavar="NAME",
        help="like read_dg4, age_verification, can_allowed; may be repeated (default: what eServices usually have)",
    )
    parser.add_argument("--migrating", action="store_true", help="give it a second sector for pseudonyms")
    _add_tls_option(parser)


def _add_tls_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--tls-certificate",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a certificate (PEM or DER) of eService or eID server, for the certificate description; may be repeated",
    )


def _run(command: Callable[[Namespace], None], options: Namespace) -> int:
    try:
        command(options)
    except EACError as error:
        # What the person typed is at fault, not a card.
        raise ConfigurationError(error.message) from None
    return 0


def _init(options: Namespace) -> None:
    pki = new_pki(now=datetime.now(UTC), random=secrets.token_bytes, terminal=_request(options))
    create_pki(options.directory, pki)
    print(f"A test PKI is in {options.directory}. Its keys are for development and test only.")


def _show(options: Namespace) -> None:
    pki = read_pki(options.directory)
    if options.cvca_hex:
        print("\n".join(certificate.encode().hex() for certificate in _cvca_certificates(pki)))
    else:
        print("\n".join(describe(pki, now=datetime.now(UTC))))


def _renew(options: Namespace) -> None:
    pki = read_pki(options.directory)
    hashes = _tls_hashes(options.tls_certificate)
    if hashes:
        pki.terminal(options.terminal)
    replaced = {options.terminal: hashes} if hashes else {}
    now = datetime.now(UTC)
    renewed = renew(pki, now=now, random=secrets.token_bytes, new_cvca=options.cvca, tls_hashes=replaced)
    write_pki(options.directory, renewed)
    print(f"Renewed; the terminals' certificates are valid until {_until(renewed)}.")


def _issue(options: Namespace) -> None:
    name: str = options.terminal
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f"terminal: expected {_PRINTABLE}")
    pki = read_pki(options.directory)
    now = datetime.now(UTC)
    write_pki(
        options.directory, issue_terminal(pki, name, request=_request(options), now=now, random=secrets.token_bytes)
    )
    print(f"Issued a certificate for terminal {name}.")


def _revoke(options: Namespace) -> None:
    pki = read_pki(options.directory)
    personality = personality_of(options.personality)
    state = read_state(options.state) if options.state else None
    write_pki(options.directory, revoke_card(pki, personality, state=state))
    print(f"Revoked the card of {personality.title}.")


def describe(pki: PKI, *, now: datetime) -> Iterable[str]:
    """What is there, line by line."""
    yield "Test PKI: nothing in it may be trusted outside of development and test."
    yield ""
    for name, document in (("CSCA", pki.csca), ("document signer", pki.signer)):
        subject = document.certificate.subject.rfc4514_string()
        yield f"{name:<17}{subject}, until {document.certificate.not_valid_after_utc:%Y-%m-%d}"
    for authority in pki.authorities:
        yield _line("CVCA", authority.root, now=now)
        if authority.link is not None:
            yield _line("  link", authority.link, now=now)
    yield _line("DV", pki.dv.certificate, now=now)
    for name, terminal in pki.terminals.items():
        description = parse_description(terminal.description)
        yield ""
        yield _line(f"terminal {name}", terminal.certificate, now=now)
        yield f"  for            {description.subject_name}, {description.subject_url}"
        yield f"  rights         {', '.join(each.lower() for each in terminal.certificate.says.chat.names)}"
        for digest in description.tls_hashes or ():
            yield f"  TLS            {digest.hex()}"
        for number, sector in enumerate(terminal.certificate.sector_hashes, start=1):
            if sector is not None:
                yield f"  sector {number}       {sector.hex()}"
    yield ""
    yield f"revoked cards    {len(pki.sectors.revoked)}"


def _line(name: str, certificate: Certificate, *, now: datetime) -> str:
    says = certificate.says
    issuer = "" if certificate.self_signed else f" by {says.authority_reference.decode('latin-1')}"
    state = ", EXPIRED: run useid pki renew" if says.expiration < now.date() else ""
    return f"{name:<17}{says.holder_reference.decode('latin-1')}{issuer}, until {says.expiration}{state}"


def _cvca_certificates(pki: PKI) -> list[Certificate]:
    """What a client must trust: each generation's own certificate, and the links between them."""
    return [*(authority.root for authority in pki.authorities), *pki.links]


def _request(options: Namespace) -> TerminalRequest:
    terminal_type = TerminalType.AUTHENTICATION_TERMINAL
    return TerminalRequest(
        subject_name=options.subject_name,
        subject_url=options.subject_url,
        rights=rights_named(options.right, terminal_type=terminal_type) if options.right else DEFAULT_RIGHTS,
        tls_hashes=_tls_hashes(options.tls_certificate),
        migrating=options.migrating,
    )


def _tls_hashes(paths: Iterable[Path]) -> tuple[bytes, ...]:
    return tuple(sha256(_der(path)).digest() for path in paths)


def _der(path: Path) -> bytes:
    """The certificate of a TLS server; of a chain in PEM, the first."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in content else x509.load_der_x509_certificate
    try:
        return load(content).public_bytes(Encoding.DER)
    except ValueError:
        raise ConfigurationError(f"{path}: expected an X.509 certificate in PEM or DER") from None


def _until(pki: PKI) -> str:
    return str(min(terminal.certificate.says.expiration for terminal in pki.terminals.values()))
